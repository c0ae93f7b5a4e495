"""Tokenizer and sizes of the half for text, from a folder in transformers' layout.

Published is XLM-RoBERTa base.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, XLMRobertaConfig

from musiczoo.models.clamp2.config import text_sizes
from musiczoo.music.errors import MusicZooError

_FAMILY = "xlm-roberta"
_FILES = ("tokenizer.json", "sentencepiece.bpe.model")


class TextTokenizer:
    """Turns descriptions of music into token ids.

    Args:
        folder: A folder with ``config.json`` and a tokenizer, such as a download of XLM-RoBERTa
            base. Its weights are not read: CLaMP's own files hold the text encoder as it was
            trained on.

    Raises:
        MusicZooError: There is no such folder, or no XLM-RoBERTa in it.
    """

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder)
        if not (path / "config.json").is_file():
            raise MusicZooError(
                "This is no folder of a text model: it has no config.json.",
                path=path,
                where="text_model",
                remedy=(
                    "Download FacebookAI/xlm-roberta-base (config.json and the tokenizer's files"
                    " suffice) and give its folder."
                ),
            )
        try:
            config, _ = XLMRobertaConfig.get_config_dict(path, local_files_only=True)
            if config.get("model_type") != _FAMILY:
                raise MusicZooError(
                    f"The folder holds a {config.get('model_type')} model; CLaMP's text encoder is"
                    f" an {_FAMILY}.",
                    path=path,
                    where="text_model",
                )
            # Without them transformers makes a tokenizer that knows no words, without a warning.
            if not any((path / name).is_file() for name in _FILES):
                raise MusicZooError(
                    f"The folder has no tokenizer ({' or '.join(_FILES)}).",
                    path=path,
                    where="text_model",
                    remedy="Download it again.",
                )
            #: Sizes of the text encoder by transformers' names.
            self.sizes: dict[str, Any] = text_sizes(XLMRobertaConfig.from_dict(config))
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        except MusicZooError:
            raise
        except Exception as error:
            # What transformers and its tokenizers raise at damaged files is of no fixed kind.
            stated = " ".join(str(error).split())[:200]
            raise MusicZooError(
                f"The text model's tokenizer cannot be opened ({stated}).",
                path=path,
                where="text_model",
                remedy="Download the folder again.",
            ) from error
        if len(self._tokenizer) > self.sizes["vocab_size"]:
            raise MusicZooError(
                f"The tokenizer has {len(self._tokenizer)} tokens and the text encoder"
                f" {self.sizes['vocab_size']}.",
                path=path,
                where="text_model",
                remedy="They are of different models: download the folder again.",
            )

    def encode(self, texts: Sequence[str]) -> list[Tensor]:
        """Token ids of descriptions, begin and end marks included, however many.

        The lines of a text are joined by the separator token, as in CLaMP 2's program for features;
        blank and repeated lines are left out. That program puts the lines in random order, here
        they keep theirs.

        Raises:
            MusicZooError: A blank text.
        """
        encoded = []
        for index, text in enumerate(texts):
            lines = list(dict.fromkeys(line for line in text.split("\n") if line.strip()))
            if not lines:
                raise MusicZooError(
                    "A description is blank.", where=f"text {index}", remedy="Leave it out."
                )
            ids = self._tokenizer(self._tokenizer.sep_token.join(lines), verbose=False)["input_ids"]
            encoded.append(torch.tensor(ids))
        return encoded
