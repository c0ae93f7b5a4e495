"""MelAesthetics on Lightning: training, accuracy by kind of degradation, and scores of sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.objective import Batch, Objective, OptimizerFactory
from musiczoo.models.mel_aesthetics.net import MelAestheticsConfig, MelAestheticsNet
from musiczoo.models.mel_aesthetics.ranking import GradedRanking
from musiczoo.music.degradation.performance import CLIP_KINDS
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.log_mel import LogMel


class MelAestheticsModule(ZooModule):
    """A small ear: how much a clip sounds like a real piece and not like a degraded one.

    Attributes:
        real_logits: Quantiles of the logits of held-out real clips, from the last validation; empty
            before the first one. A checkpoint keeps them: a logit means something beside those of
            real music only.

    It stands where SMART (Jonason, Casini and Sturm 2025, arXiv 2504.16839) has Audiobox
    Aesthetics, on machines where that is too large. The net, its task and its training are ours.

    Args:
        mels: Bands of the spectrogram.
        channels: Channels of the first convolution.
        width: Features of each moment.
        layers: Layers over time.
        heads: Attention heads of each.
        dropout: Dropout.
        objective: The loss; :class:`GradedRanking` when None.
        optimizer: Makes the optimiser; AdamW at 1e-4 when None.
        warmup_steps: Steps of linear warm-up to a constant rate.
        cooldown_steps: Last steps of ``Trainer(max_steps=...)``, in which the rate falls linearly
            to zero.
        seed: Seed of dropout.
    """

    architecture: ClassVar[str] = "mel_aesthetics"
    net: MelAestheticsNet
    representation: LogMel
    lora_targets = ("project", "mix", "attend", "attended", "hidden")

    def __init__(
        self,
        mels: int = 96,
        channels: int = 8,
        width: int = 80,
        layers: int = 3,
        heads: int = 4,
        dropout: float = 0.1,
        objective: Objective | None = None,
        optimizer: OptimizerFactory | None = None,
        warmup_steps: int = 0,
        cooldown_steps: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            objective=objective or GradedRanking(),
            optimizer=optimizer,
            warmup_steps=warmup_steps,
            cooldown_steps=cooldown_steps,
            seed=seed,
        )
        config = MelAestheticsConfig(mels, channels, width, layers, heads, dropout)
        self.net = MelAestheticsNet(config)
        self.representation = LogMel(mels)
        self.real_logits: tuple[float, ...] = ()
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
        """The sizes of the net."""
        return self.net.config.to_dict()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], representation: Any, **settings: Any) -> Self:
        """A module of these sizes with untrained weights.

        Raises:
            MusicZooError: The representation does not give spectrograms of the net's bands.
        """
        module = cls(**{**config, **settings})
        if not isinstance(representation, LogMel) or representation.mels != module.net.config.mels:
            raise MusicZooError(
                "The representation does not fit the net.",
                remedy="It must give log-mel spectrograms of the net's bands.",
            )
        module.representation = representation
        return module

    def on_fit_start(self) -> None:
        """Nets opened from a checkpoint come in eval mode, and Lightning would keep them so."""
        super().on_fit_start()
        self.net.train()

    def record(self) -> dict[str, Any]:
        """Adds :attr:`real_logits` to what a checkpoint keeps."""
        return {**super().record(), "real_logits": list(self.real_logits)}

    def load_record(self, record: Mapping[str, Any]) -> None:
        """Takes up what :meth:`record` gave."""
        super().load_record(record)
        self.real_logits = tuple(float(value) for value in record.get("real_logits", ()))

    def preferences(self, logits: Tensor) -> Tensor:
        """The probability that each clip is preferred to a real one drawn at random (Bradley and Terry 1952, on the ear's own scale).

        Args:
            logits: (clips,).

        Returns:
            (clips,) float64 from 0 to 1; real clips have 0.5 on average.

        Raises:
            MusicZooError: The ear has never been validated, and does not know how it rates real
                clips.
        """
        if not self.real_logits:
            raise MusicZooError(
                "This ear does not know how it rates real music.",
                where="real_logits",
                remedy="Validate it once on held-out takes (Trainer.validate), or use its logits.",
            )
        real = torch.tensor(self.real_logits, dtype=torch.float64)
        return torch.sigmoid(logits.double().unsqueeze(1) - real).mean(dim=1)

    def reference_batch(self) -> dict[str, Tensor]:
        """Two clips of different length: a rising and a falling run of bands."""
        mels = self.net.config.mels
        rows = torch.arange(40)
        levels = (
            (220 - 15 * (torch.arange(mels) - (rows * 3 % mels).unsqueeze(1)).abs())
            .clamp(0, 255)
            .to(torch.uint8)
        )
        return self.representation.collate([levels, levels.flip(0)[:23]])

    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``logits``, (clips,)."""
        with torch.no_grad():
            return {"logits": self.net(batch["mel"], batch["lengths"]).float()}

    def scores(self, clips: Sequence[NDArray[np.float32]], rate: int) -> Tensor:
        """The logit of each clip; the same whatever the other clips are.

        Args:
            clips: Samples in [-1, 1], (channels, samples) or (samples,), of any lengths.
            rate: Samples a second.

        Returns:
            (clips,) float64 on the CPU, without gradient.

        Raises:
            MusicZooError: A sample rate that is too low, or samples that are not finite.
        """
        training = self.net.training
        self.net.eval()
        try:
            found = torch.empty(len(clips), dtype=torch.float64)
            with torch.no_grad():
                for index, samples in enumerate(clips):
                    # One at a time: on a CPU a batch is no faster, and padding cannot matter.
                    batch = self.representation.collate(
                        [self.representation.encode_audio(samples, rate)]
                    )
                    found[index] = (
                        self.net(batch["mel"].to(self.device), batch["lengths"].to(self.device))
                        .double()
                        .cpu()[0]
                    )
            return found
        finally:
            self.net.train(training)

    def on_validation_epoch_start(self) -> None:
        """Starts the sums of the loss, and of real clips above each kind."""
        super().on_validation_epoch_start()
        self._above = torch.zeros(2, len(CLIP_KINDS), dtype=torch.float64, device=self.device)
        self._real: list[Tensor] = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds the batch to the loss and to the pairs won."""
        super().validation_step(batch, batch_idx)
        logits = self.net(batch["mel"], batch["lengths"])
        self._real.append(logits[batch["kind"] == CLIP_KINDS.index("real")].detach())
        above, pairs = won_pairs(logits, batch)
        self._above += torch.stack([above, pairs])

    def on_validation_epoch_end(self) -> None:
        """Logs the loss, the part of pairs won for each kind, and the least of them."""
        super().on_validation_epoch_end()
        # Of several processes each has its share of the same works, whose quantiles differ little.
        self.real_logits = quantiles(torch.cat(self._real)) if self._real else self.real_logits
        above, pairs = self.trainer.strategy.reduce(self._above, reduce_op="sum")
        parts = {
            CLIP_KINDS[index]: above[index] / pairs[index]
            for index in range(1, len(CLIP_KINDS))
            if pairs[index]
        }
        logged = {f"val/above_{name}": part.float() for name, part in parts.items()}
        if parts:
            logged["val/above_least"] = torch.stack(list(parts.values())).min().float()
        self.log_dict(logged)


def quantiles(logits: Tensor, count: int = 64) -> tuple[float, ...]:
    """So many evenly spaced quantiles of (clips,) logits, from the middle of the first part to that of the last."""
    places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return tuple(torch.quantile(logits.double().cpu(), places).tolist())


def won_pairs(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """How often the real clip of a group is above a degraded one (a tie counts half), and how many pairs there are.

    Args:
        logits: (clips,).
        batch: With ``group`` and ``kind``, and one real clip a group.

    Returns:
        Two tensors (kinds,) float64, by index into
        :data:`musiczoo.music.degradation.performance.CLIP_KINDS`; 0 for the real ones.
    """
    group, kind = batch["group"], batch["kind"]
    real = torch.full((int(group.max()) + 1,), torch.nan, dtype=torch.float64, device=logits.device)
    real[group[kind == 0]] = logits[kind == 0].double()
    difference = real[group] - logits.double()
    worse = kind != 0
    above = torch.zeros(len(CLIP_KINDS), dtype=torch.float64, device=logits.device)
    pairs = above.index_add(0, kind[worse], torch.ones_like(difference[worse]))
    won = above.index_add(0, kind[worse], (difference[worse].sign() + 1) / 2)
    return won, pairs
