"""MelAesthetics on Lightning: training, accuracy by kind of degradation, and scores of sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.objective import Batch
from musiczoo.models.base.pretrained import start_from
from musiczoo.models.mel_aesthetics.config import MelAestheticsConfig
from musiczoo.models.mel_aesthetics.net import MelAestheticsNet
from musiczoo.models.mel_aesthetics.ranking import GradedRanking
from musiczoo.music.degradation.performance import CLIP_KINDS
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.log_mel import LogMel


class MelAestheticsModule(ZooModule):
    """A small audio scorer: how much a clip sounds like a real piece and not like a degraded one.

    It stands where SMART (Jonason, Casini and Sturm 2025, arXiv 2504.16839) has Audiobox
    Aesthetics, on machines where that is too large. The net, its task and its training are ours.

    >>> import numpy as np
    >>> from musiczoo.models.mel_aesthetics import MelAestheticsModule
    >>> model = MelAestheticsModule(channels=4, width=8, layers=1)
    >>> model.scores([np.zeros(16_000, np.float32)], rate=16_000).shape  # (clips,)
    torch.Size([1])

    Attributes:
        real_logits: Quantiles of the logits of held-out real clips, from the last validation; empty
            before the first one. A checkpoint keeps them: a logit has a meaning only beside those
            of real music.

    Args:
        config: The sizes. Single ones may be given by their names instead (``width=64``).
        pretrained: What to start from: a name for :func:`musiczoo.load`; its sizes replace those
            of ``config``.
        representation: The spectrograms; those of the sizes when None.
        lora: Train an adapter beside the frozen weights, with these settings; None trains all
            weights.
        settings: Of :class:`musiczoo.models.base.ZooModule`; the objective is
            :class:`GradedRanking` when none is given.

    Raises:
        MusicZooError: A size that does not exist, weights that cannot be used, or spectrograms
            with another number of bands than the net's.
    """

    architecture: ClassVar[str] = "mel_aesthetics"
    config_type = MelAestheticsConfig
    representation_type = LogMel
    length_unit = "row"
    lora_targets = ("project", "mix", "attend", "attended", "hidden")
    net: MelAestheticsNet
    config: MelAestheticsConfig
    representation: LogMel

    def __init__(
        self,
        config: MelAestheticsConfig | None = None,
        *,
        pretrained: str | None = None,
        representation: LogMel | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        sizes = MelAestheticsConfig.from_settings(config, settings)
        super().__init__(**settings)
        self.objective = self.objective or GradedRanking()
        self.real_logits: tuple[float, ...] = ()
        stored = None
        if pretrained is None:
            self.config, self.net = sizes, MelAestheticsNet(sizes)
        else:
            stored = start_from(self, MelAestheticsNet, sizes, pretrained)
            sizes = self.config
        self.representation = representation or stored or LogMel(sizes.mels)
        if self.representation.mels != sizes.mels:
            raise MusicZooError(
                "The representation does not fit the net.",
                remedy="It must give log-mel spectrograms of the net's bands.",
            )
        self._keep_settings()
        if lora is not None:
            self.add_lora(lora, self.seed)

    def record(self) -> dict[str, Any]:
        """Adds :attr:`real_logits` to what a checkpoint keeps."""
        return {**super().record(), "real_logits": list(self.real_logits)}

    def load_record(self, record: Mapping[str, Any]) -> None:
        """Loads what :meth:`record` gave."""
        super().load_record(record)
        self.real_logits = tuple(float(value) for value in record.get("real_logits", ()))

    def preferences(self, logits: Tensor) -> Tensor:
        """The probability that each clip is preferred to a real one drawn at random.

        By the model of Bradley and Terry (1952), on the scorer's own scale.

        Args:
            logits: (clips,).

        Returns:
            (clips,) float64 from 0 to 1; real clips have 0.5 on average.

        Raises:
            MusicZooError: The scorer has never been validated, so its ratings of real clips are
                not known.
        """
        if not self.real_logits:
            raise MusicZooError(
                "The ratings that this audio scorer gives real music are not known.",
                where="real_logits",
                remedy=(
                    "Validate it once on held-out passages (Trainer.validate), or use its logits."
                ),
            )
        real = torch.tensor(self.real_logits, dtype=torch.float64)
        return torch.sigmoid(logits.double().unsqueeze(1) - real).mean(dim=1)

    def reference_batch(self) -> dict[str, Tensor]:
        """Two clips of different length: a rising and a falling run of bands."""
        mels = self.config.mels
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
        found = torch.empty(len(clips), dtype=torch.float64)
        with evaluating(self.net):
            for index, samples in enumerate(clips):
                # One at a time: on a CPU a batch is no faster, and padding cannot matter.
                batch = self.representation.collate(
                    [self.representation.encode_audio(samples, rate)]
                )
                mel, lengths = (batch[name].to(self.device) for name in ("mel", "lengths"))
                found[index] = self.net(mel, lengths).double().cpu()[0]
        return found

    def on_validation_epoch_start(self) -> None:
        """Starts the sums of the loss, and of pairs won by real clips, for each kind."""
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
    """Evenly spaced quantiles of logits, from the middle of the first part to that of the last.

    Args:
        logits: (clips,).
        count: Number of quantiles.
    """
    places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return tuple(torch.quantile(logits.double().cpu(), places).tolist())


def won_pairs(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Pairs of each kind in which the real clip of a group is above a degraded one, and all pairs.

    A tie counts half.

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
