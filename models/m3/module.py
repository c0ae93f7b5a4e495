"""M3 on Lightning: pre-training, and features of pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.pretrained import start_from
from musiczoo.models.m3.config import M3Config
from musiczoo.models.m3.features import pooled_features
from musiczoo.models.m3.inputs import fitting_patches, piece_text, reference_patches
from musiczoo.models.m3.masking import MaskedPatches
from musiczoo.models.m3.net import M3Net
from musiczoo.representations.m3_patches import M3Patches

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    from musiczoo.music.abc import Tune


class M3Module(ZooModule):
    r"""The encoder M3 with its pre-training decoder (Wu et al. 2024, CLaMP 2, arXiv 2410.13267).

    >>> from musiczoo.models.m3 import M3Module
    >>> model = M3Module(layers=1, decoder_layers=1, hidden=32, patch_length=64)
    >>> model.features(["L:1/8\nM:4/4\nK:G\nGABc d2 B2|"]).shape  # (pieces, hidden)
    torch.Size([1, 32])

    Args:
        config: The sizes. Single ones may be given by their names instead (``hidden=512``).
        pretrained: What to start from: a file in the publisher's layout, or a name for
            :func:`musiczoo.load`; its sizes replace those of ``config``.
        representation: The patches; those of the sizes when None.
        strip_unit_length: Leave out lines that hold ``L:1/8`` alone, as M3 was trained; None for
            what ``representation`` does.
        lora: Train an adapter beside the frozen weights, with these settings; None trains all
            weights.
        settings: Of :class:`musiczoo.models.base.ZooModule`; the objective is
            :class:`MaskedPatches` when none is given.

    Raises:
        MusicZooError: A size that does not exist, weights that cannot be used, or patches of
            another size than the net's.
    """

    architecture: ClassVar[str] = "m3"
    config_type = M3Config
    representation_type = M3Patches
    length_unit = "patch"
    # Not the pooler's dense layer, which nothing uses.
    lora_targets = ("query", "key", "value", "intermediate.dense", "output.dense")
    net: M3Net
    config: M3Config
    representation: M3Patches

    def __init__(
        self,
        config: M3Config | None = None,
        *,
        pretrained: str | None = None,
        representation: M3Patches | None = None,
        strip_unit_length: bool | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        sizes = M3Config.from_settings(config, settings)
        super().__init__(**settings)
        self.objective = self.objective or MaskedPatches()
        stored = None
        if pretrained is None:
            self.config, self.net = sizes, M3Net(sizes)
        else:
            stored = start_from(self, M3Net, sizes, pretrained)
            sizes = self.config
        self.representation = fitting_patches(
            sizes.patch_size, sizes.patch_length, representation or stored, strip_unit_length, True
        )
        self._keep_settings()
        if lora is not None:
            self.add_lora(lora, self.seed)

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short texts of different length."""
        return reference_patches(self.representation, self.config.patch_length, unit_length=False)

    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``hidden`` (patches of all sequences, width) and ``log_probs`` of all characters."""
        patches, lengths = batch["patches"], batch["lengths"]
        everything = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
        with torch.no_grad():
            hidden = self.net.encoder(patches, lengths)
            values, _ = self.net(patches, lengths, patches, everything)
        return {"hidden": hidden.float(), "log_probs": values.float()}

    def features(self, pieces: Sequence[str | Tune | ScoreTick]) -> Tensor:
        """One vector a piece: the mean of the encoder's hidden states, un-normalised.

        A row does not depend on the other pieces.

        Args:
            pieces: Tunes, symusic scores, or texts: interleaved ABC
                (:func:`musiczoo.representations.m3_patches.abc_text`) or MIDI text format
                (:func:`musiczoo.music.midi.text_format.midi_text`).

        Returns:
            (pieces, hidden), float32, on the CPU, without gradient.

        Raises:
            MusicZooError: A piece that holds no music.
        """
        encoded = self.representation.encode_texts([piece_text(piece) for piece in pieces])

        def encode(patches: Tensor, lengths: Tensor) -> Tensor:
            hidden: Tensor = self.net.encoder(patches.to(self.device), lengths.to(self.device))
            return hidden

        with evaluating(self.net):
            return pooled_features(encode, encoded, self.config.patch_length, self.config.hidden)
