"""M3 on Lightning: pre-training, and features of pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.objective import Objective, OptimizerFactory
from musiczoo.models.m3.features import pooled_features
from musiczoo.models.m3.masking import MaskedPatches
from musiczoo.models.m3.net import M3Config, M3Net
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import M3Patches

# What a download is checked with.
_REFERENCE = """%%score { 1 | 2 }
M:3/4
K:Gm
V:1 treble nm="Piano"
V:2 bass
[V:1]G2 ^F2 G2|[V:2]G,4 D2|
[V:1]A3 B c2-|[V:2]F,2 E,2 D,2|
[V:1]c2 B4|[V:2]G,6|
"""


class M3Module(ZooModule):
    """The encoder M3 with its pre-training decoder (Wu et al. 2024, CLaMP 2, arXiv 2410.13267).

    Args:
        layers: Layers of the encoder.
        decoder_layers: Layers of the decoder.
        hidden: Width of both.
        patch_size: Characters a patch.
        patch_length: Patches of context.
        dropout: Dropout of hidden states and attention.
        heads: Attention heads; 0 means hidden / 64.
        objective: The loss; :class:`MaskedPatches` when None.
        optimizer: Makes the optimiser; AdamW at 1e-4 when None.
        warmup_steps: Steps of linear warm-up to a constant rate.
        cooldown_steps: Last steps of ``Trainer(max_steps=...)``, in which the rate falls linearly
            to zero.
        seed: Seed of dropout and masking.
    """

    architecture: ClassVar[str] = "m3"
    net: M3Net
    representation: M3Patches
    # Not the pooler's dense layer, which nothing uses.
    lora_targets = ("query", "key", "value", "intermediate.dense", "output.dense")

    def __init__(
        self,
        layers: int = 12,
        decoder_layers: int = 3,
        hidden: int = 768,
        patch_size: int = 64,
        patch_length: int = 512,
        dropout: float = 0.1,
        heads: int = 0,
        objective: Objective | None = None,
        optimizer: OptimizerFactory | None = None,
        warmup_steps: int = 0,
        cooldown_steps: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            objective=objective or MaskedPatches(),
            optimizer=optimizer,
            warmup_steps=warmup_steps,
            cooldown_steps=cooldown_steps,
            seed=seed,
        )
        config = M3Config(layers, decoder_layers, hidden, patch_size, patch_length, dropout, heads)
        self.net = M3Net(config)
        self.representation = M3Patches(patch_size, patch_length)
        self.save_hyperparameters(
            {
                **config.to_dict(),
                "warmup_steps": warmup_steps,
                "cooldown_steps": cooldown_steps,
                "seed": seed,
            },
            logger=False,
        )

    def to_config(self) -> dict[str, Any]:
        """The sizes of encoder and decoder."""
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

    def on_fit_start(self) -> None:
        """Nets opened from a checkpoint come in eval mode, and Lightning would keep them so."""
        super().on_fit_start()
        self.net.train()

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short texts of different length."""
        lines = _REFERENCE.splitlines()
        texts = ("\n".join(lines), "\n".join(lines[1:-1]))
        return self.representation.collate(
            [
                self.representation.encode_text(text)[: self.net.config.patch_length]
                for text in texts
            ]
        )

    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``hidden``, (patches of all sequences, width), and ``log_probs`` of every patch's characters."""
        patches, lengths = batch["patches"], batch["lengths"]
        everything = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
        with torch.no_grad():
            hidden = self.net.encoder(patches, lengths)
            values, _ = self.net(patches, lengths, patches, everything)
        return {"hidden": hidden.float(), "log_probs": values.float()}

    def features(self, texts: Sequence[str]) -> Tensor:
        """One vector a piece: the mean of the encoder's hidden states, un-normalised.

        The same whatever the other pieces are.

        Args:
            texts: Interleaved ABC (:func:`musiczoo.representations.m3_patches.abc_text`) or MIDI
                text format.

        Returns:
            (texts, hidden), float32, on the CPU, without gradient.

        Raises:
            MusicZooError: A text that holds no music.
        """
        training = self.net.training
        self.net.eval()
        try:
            with torch.no_grad():
                return pooled_features(
                    lambda patches, lengths: self.net.encoder(
                        patches.to(self.device), lengths.to(self.device)
                    ),
                    self.representation.encode_texts(texts),
                    self.net.config.patch_length,
                    self.net.config.hidden,
                )
        finally:
            self.net.train(training)
