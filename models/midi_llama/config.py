"""Settings of MIDI-LLaMA: its two frozen parts by name, projection and adapter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.config import ModelConfig
from musiczoo.music.errors import MusicZooError

PROJECTIONS = ("linear", "mlp")


@dataclass(frozen=True)
class MidiLlamaConfig(ModelConfig):
    """Settings; what the paper leaves open is ours.

    Attributes:
        encoder: The frozen encoder, as :func:`musiczoo.load` takes it (a ``musicbert``); empty for
            none: then the language model reads ABC text (the paper's baseline).
        encoder_sha256: Digest of its tensors; empty until it has been opened.
        lm: The frozen language model: a name for :func:`musiczoo.load` (a ``text_lm``), or a
            folder in transformers' layout.
        lm_sha256: Digest of its tensors.
        segments: Music tokens of a piece: each is the mean over one segment of its notes. The paper
            has one ("temporal mean pooling").
        projection: ``"linear"`` (the paper: "a trainable projection"), or ``"mlp"``: two layers
            with GELU (LLaVA 1.5).
        adapter: Settings of the LoRA adapter of the language model
            (:class:`musiczoo.models.adapters.LoRA`); empty for none. The paper has rank 8; alpha,
            dropout and layers are ours.
    """

    encoder: str = "musicbert-small"
    encoder_sha256: str = ""
    lm: str = "qa-lm-small"
    lm_sha256: str = ""
    segments: int = 1
    projection: str = "linear"
    adapter: dict[str, Any] = field(
        default_factory=lambda: {"rank": 8, "alpha": 16.0, "dropout": 0.0}
    )

    dropouts: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.projection not in PROJECTIONS or self.segments < 1:
            raise MusicZooError(
                f"There is no projection {self.projection!r} of {self.segments} segments.",
                where="projection, segments",
                remedy=f"Give {' or '.join(PROJECTIONS)}, and a number from 1.",
            )
        if self.adapter:
            LoRA.from_dict(self.adapter)
