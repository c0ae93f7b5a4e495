"""CLaMP 2 and CLaMP 3 on Lightning: features of music and of descriptions of music."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from musiczoo.hub.published import assembled
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.module import ZooModule
from musiczoo.models.clamp2.config import Clamp2Config
from musiczoo.models.clamp2.net import Clamp2Net
from musiczoo.models.clamp2.published import read_published
from musiczoo.models.clamp2.tokenizer import TextTokenizer
from musiczoo.models.m3.inputs import fitting_patches, piece_text, reference_patches
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import M3Patches

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    from musiczoo.music.abc import Tune


class Clamp2Module(ZooModule):
    r"""CLaMP 2 (Wu et al. 2024, arXiv 2410.13267), and CLaMP 3's halves for scores and text.

    CLaMP 3: Wu et al. 2025, arXiv 2502.10362. The module gives features; the zoo does not train it.

    >>> from musiczoo.models.clamp2 import Clamp2Module
    >>> model = Clamp2Module(layers=1, hidden=32, dim=16, patch_length=64)
    >>> model.features(["L:1/8\nM:4/4\nK:G\nGABc d2 B2|"]).shape  # (pieces, dim)
    torch.Size([1, 16])

    Args:
        config: The sizes. Single ones may be given by their names instead (``hidden=512``).
        representation: The patches; those of the sizes when None.
        text_model: The text encoder's tokenizer, or a folder with its ``config.json`` and tokenizer
            (XLM-RoBERTa base for the published weights). Without it there are no features of text;
            without it and without sizes of a text encoder the half for text is not built.
        strip_unit_length: Leave out lines that hold ``L:1/8`` alone: CLaMP 2's published program
            for features keeps them, CLaMP 3's leaves them out. None for what ``representation``
            does, and for CLaMP 2's way without one.
        settings: Of :class:`musiczoo.models.base.ZooModule`.

    Raises:
        MusicZooError: A size that does not exist, a text model that cannot be used, or patches of
            another size than the net's.
    """

    architecture: ClassVar[str] = "clamp2"
    config_type = Clamp2Config
    representation_type = M3Patches
    length_unit = "patch"
    net: Clamp2Net
    config: Clamp2Config
    representation: M3Patches

    def __init__(
        self,
        config: Clamp2Config | None = None,
        *,
        representation: M3Patches | None = None,
        text_model: str | Path | TextTokenizer | None = None,
        strip_unit_length: bool | None = None,
        **settings: Any,
    ) -> None:
        sizes = Clamp2Config.from_settings(config, settings)
        super().__init__(**settings)
        self.tokenizer = (
            TextTokenizer(text_model) if isinstance(text_model, str | Path) else text_model
        )
        if sizes.text is None and self.tokenizer is not None:
            sizes = Clamp2Config.from_settings(sizes, {"text": self.tokenizer.sizes})
        self.config = sizes
        self.net = Clamp2Net(sizes)
        self.representation = fitting_patches(
            sizes.patch_size, sizes.patch_length, representation, strip_unit_length, False
        )
        self._keep_settings(strip_unit_length=self.representation.strip_unit_length)

    @classmethod
    def from_clamp2(cls, path: str | Path, **settings: Any) -> Self:
        """A module with the weights of a CLaMP 2 file, in eval mode.

        Args:
            path: The file, whole or without its half for text.
            settings: ``text_model``, ``strip_unit_length`` (False when left out) and ``dropout``;
                see the class.

        Raises:
            MusicZooError: The file or a setting cannot be used; see
                :func:`musiczoo.models.clamp2.published.read_published`.
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
                :func:`musiczoo.models.clamp2.published.read_published`.
        """
        return cls._published("clamp3", path, **settings)

    @classmethod
    def _published(
        cls, name: str, path: str | Path, text_model: str | Path | None = None, **settings: Any
    ) -> Self:
        published = read_published(path, text_model)
        module: Self = assembled(cls, published, Path(path), name, settings)
        return module

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short texts of different length, as far as they fit the context."""
        return reference_patches(self.representation, self.config.patch_length, unit_length=True)

    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``features``, (batch, dim)."""
        with torch.no_grad():
            return {"features": self.net(batch["patches"], batch["lengths"]).float()}

    def features(self, pieces: Sequence[str | Tune | ScoreTick]) -> Tensor:
        """One vector a piece, un-normalised; a row does not depend on the other pieces.

        Pieces longer than the context are cut into segments, the last one overlapping the one
        before; segments count by the patches that they add (published code of CLaMP 2).

        Args:
            pieces: Tunes, symusic scores, or texts: interleaved ABC
                (:func:`musiczoo.representations.m3_patches.abc_text`) or MIDI text format
                (:func:`musiczoo.music.midi.text_format.midi_text`).

        Returns:
            (pieces, dim), float32, on the CPU, without gradient.

        Raises:
            MusicZooError: A piece that holds no music.
        """
        encoded = self.representation.encode_texts([piece_text(piece) for piece in pieces])
        with evaluating(self.net):
            return self.net.music_features(encoded)

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
        with evaluating(self.net):
            return self.net.text_features(tokens)
