"""CLaMP 2 and CLaMP 3 on Lightning: features of music and of descriptions of music."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from musiczoo.hub.tensors import fill
from musiczoo.models.base.module import ZooModule
from musiczoo.models.clamp2.net import Clamp2Config, Clamp2Net
from musiczoo.models.clamp2.published import LAYOUTS, read_halves
from musiczoo.models.clamp2.tokenizer import TextTokenizer
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import M3Patches

# What a download is checked with.
_REFERENCE = """%%score { 1 | 2 }
L:1/8
M:3/4
K:Gm
V:1 treble nm="Piano"
V:2 bass
[V:1]G2 ^F2 G2|[V:2]G,4 D2|
[V:1]A3 B c2-|[V:2]F,2 E,2 D,2|
[V:1]c2 B4|[V:2]G,6|
"""


class Clamp2Module(ZooModule):
    """CLaMP 2 (Wu et al. 2024, arXiv 2410.13267), and the symbolic and text halves of CLaMP 3 (Wu et al. 2025, arXiv 2502.10362).

    It gives features; the zoo does not train it.

    Args:
        layers: Layers of the music encoder.
        hidden: Its width.
        patch_size: Characters a patch.
        patch_length: Patches of context.
        dropout: Dropout of hidden states and attention.
        heads: Attention heads of the music encoder; 0 means hidden / 64.
        dim: Width of the space that music and text share.
        text: Sizes of the text encoder (:func:`musiczoo.models.clamp2.net.text_sizes`); those of
            ``text_model`` when None.
        text_model: A folder with the text encoder's ``config.json`` and tokenizer (XLM-RoBERTa base
            for the published weights). Without it there are no features of text, and without both
            the half for text is not built.
        strip_unit_length: Leave out lines that say ``L:1/8``: CLaMP 2's published program for
            features keeps them, CLaMP 3's leaves them out.
    """

    architecture: ClassVar[str] = "clamp2"
    net: Clamp2Net
    representation: M3Patches

    def __init__(
        self,
        layers: int = 12,
        hidden: int = 768,
        patch_size: int = 64,
        patch_length: int = 512,
        dropout: float = 0.1,
        heads: int = 0,
        dim: int = 768,
        text: Mapping[str, Any] | None = None,
        text_model: str | Path | None = None,
        strip_unit_length: bool = False,
    ) -> None:
        super().__init__()
        self.tokenizer = None if text_model is None else TextTokenizer(text_model)
        if text is None and self.tokenizer is not None:
            text = self.tokenizer.sizes
        config = Clamp2Config(layers, hidden, patch_size, patch_length, dropout, heads, dim, text)
        self.net = Clamp2Net(config)
        self.representation = M3Patches(patch_size, patch_length, strip_unit_length)
        self.save_hyperparameters(
            {**config.to_dict(), "strip_unit_length": strip_unit_length}, logger=False
        )

    @classmethod
    def from_clamp2(cls, path: str | Path, **settings: Any) -> Self:
        """A module with the weights of a CLaMP 2 file, in eval mode.

        Args:
            path: The file, whole or without its half for text.
            settings: ``text_model``, ``strip_unit_length`` (False when left out) and ``dropout``;
                see the class.

        Raises:
            MusicZooError: The file or a setting cannot be used; see
                :func:`musiczoo.models.clamp2.published.read_halves`.
        """
        return cls._published("clamp2", path, **settings)

    @classmethod
    def from_clamp3(cls, path: str | Path, **settings: Any) -> Self:
        """A module with the symbolic half of a CLaMP 3 file, in eval mode.

        The half for sound is left on the disk.

        Args:
            path: The file.
            settings: ``text_model``, ``strip_unit_length`` (True when left out) and ``dropout``;
                see the class.

        Raises:
            MusicZooError: The file or a setting cannot be used; see
                :func:`musiczoo.models.clamp2.published.read_halves`.
        """
        return cls._published("clamp3", path, **settings)

    @classmethod
    def _published(
        cls,
        name: str,
        path: str | Path,
        text_model: str | Path | None = None,
        strip_unit_length: bool | None = None,
        dropout: float = 0.1,
    ) -> Self:
        layout, path = LAYOUTS[name], Path(path)
        tokenizer = None if text_model is None else TextTokenizer(text_model)
        config, tensors = read_halves(
            path, layout, None if tokenizer is None else tokenizer.sizes, dropout
        )
        strips = layout.strips_unit_length if strip_unit_length is None else strip_unit_length
        # Untrained weights are drawn and thrown away; the user's random numbers must not notice.
        with torch.random.fork_rng(devices=[]):
            module = cls(**config.to_dict(), strip_unit_length=strips)
        fill(module.net, tensors, path)
        module.tokenizer = tokenizer
        return module.eval()

    def to_config(self) -> dict[str, Any]:
        """The sizes of the halves that there are."""
        return self.net.config.to_dict()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], representation: Any, **settings: Any) -> Self:
        """A module of these sizes with untrained weights.

        Raises:
            MusicZooError: The representation does not give M3 patches of the net's size.
        """
        module = cls(**{**config, **settings})
        if (
            not isinstance(representation, M3Patches)
            or representation.patch_size != module.net.config.patch_size
        ):
            raise MusicZooError(
                "The representation does not fit the net.",
                remedy="It must give M3 patches of the net's size.",
            )
        module.representation = representation
        return module

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short texts of different length, as far as they fit the context."""
        lines = _REFERENCE.splitlines()
        texts = ("\n".join(lines), "\n".join(lines[1:-1]))
        return self.representation.collate(
            [
                self.representation.encode_text(text)[: self.net.config.patch_length]
                for text in texts
            ]
        )

    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``features``, (batch, dim)."""
        with torch.no_grad():
            return {"features": self.net(batch["patches"], batch["lengths"]).float()}

    @torch.no_grad()
    def features(self, texts: Sequence[str]) -> Tensor:
        """One vector a piece, un-normalised; the same whatever the other pieces are.

        Pieces longer than the context are cut into segments, the last one overlapping the one
        before; segments count by the patches that they add (published code of CLaMP 2).

        Args:
            texts: Interleaved ABC (:func:`musiczoo.representations.m3_patches.abc_text`) or MIDI
                text format (:func:`musiczoo.music.midi.text_format.midi_text`).

        Returns:
            (texts, dim), float32, on the CPU, without gradient.

        Raises:
            MusicZooError: A text that holds no music.
        """
        pieces = self.representation.encode_texts(texts)
        with _at_rest(self.net):
            return self.net.music_features(pieces)

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """One vector a description, in the space of :meth:`features`, un-normalised.

        Args:
            texts: Descriptions in any language.

        Returns:
            (texts, dim), float32, on the CPU, without gradient.

        Raises:
            MusicZooError: The module was opened without ``text_model``, or a text is blank.
        """
        if self.tokenizer is None:
            raise MusicZooError(
                "There is no text side.",
                where="text_model",
                remedy=(
                    "Open the model with text_model=FOLDER, a download of"
                    " FacebookAI/xlm-roberta-base."
                ),
            )
        tokens = self.tokenizer.encode(texts)
        with _at_rest(self.net):
            return self.net.text_features(tokens)


@contextmanager
def _at_rest(net: torch.nn.Module) -> Iterator[None]:
    """Eval mode for a while: dropout is off, and the mode comes back."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)
