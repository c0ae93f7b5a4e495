"""The small audio scorer: clips do not notice each other, the loss is its formula, it learns, and a fit resumes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from musiczoo.hub.checkpoint import open_checkpoint, save_checkpoint
from musiczoo.models.mel_aesthetics import (
    GradedRanking,
    MelAestheticsConfig,
    MelAestheticsModule,
    MelAestheticsNet,
)
from musiczoo.models.mel_aesthetics.module import won_pairs
from musiczoo.models.mel_aesthetics.ranking import better_pairs
from musiczoo.music.degradation.performance import CLIP_KINDS
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.log_mel import LogMel
from tests.small_runs import QUIET

pytestmark = pytest.mark.filterwarnings("ignore")
PITCH, TIMING, NOISE = (CLIP_KINDS.index(name) for name in ("pitch", "timing", "noise"))


def tiny(**settings: Any) -> MelAestheticsModule:
    torch.manual_seed(0)
    return MelAestheticsModule(
        **({"mels": 16, "channels": 4, "width": 8, "layers": 2, "optimizer": adamw} | settings)
    )


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=5e-3)


def clips(lengths: tuple[int, ...] = (9, 30, 1, 2, 17), mels: int = 16) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randint(0, 256, (length, mels), generator=generator, dtype=torch.uint8)
        for length in lengths
    ]


def graded() -> dict[str, torch.Tensor]:
    """Two groups and a single real clip."""
    batch = LogMel(16).collate(clips((9, 30, 8, 11, 17, 6, 7)))
    batch["group"] = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    batch["kind"] = torch.tensor([0, PITCH, PITCH, NOISE, TIMING, 0, 0])
    batch["strength"] = torch.tensor([0.0, 0.2, 0.7, 0.9, 0.4, 0.0, 0.0])
    batch["classes"] = torch.rand(7, 30, 12, generator=torch.Generator().manual_seed(2)) < 0.3
    return batch


def test_a_clip_does_not_notice_the_others() -> None:
    module = tiny(layers=4).eval()
    some = clips()
    representation = LogMel(16)
    with torch.no_grad():
        together = module.net(**representation.collate(some))
        alone = torch.cat([module.net(**representation.collate([clip])) for clip in some])
        longer = representation.collate([*some, torch.zeros(64, 16, dtype=torch.uint8)])
        # Whatever stands behind the end of a clip.
        for row, clip in enumerate(some):
            longer["mel"][row, len(clip) :] = 200
        padded = module.net(**longer)[:-1]
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(padded, alone, rtol=1e-5, atol=1e-6)
    assert len(set(alone.tolist())) == len(some)


def test_pitch_classes_are_told_for_each_step() -> None:
    net = tiny().net.eval()
    batch = LogMel(16).collate(clips((1, 4, 5, 30)))
    logits, classes = net.listen(**batch)
    assert torch.equal(logits, net(**batch))
    assert classes.shape == (4, 8, 12)


def test_order_of_a_group() -> None:
    better = better_pairs(graded())
    expected = {(0, 1), (0, 2), (0, 3), (1, 2), (5, 4)}
    assert {(int(one), int(other)) for one, other in better.nonzero()} == expected


class Fixed(torch.nn.Module):
    """Stands for a module whose net gives known logits."""

    def __init__(self, logits: torch.Tensor, classes: torch.Tensor) -> None:
        super().__init__()
        self.answer = (logits, classes)

    @property
    def net(self) -> Any:
        return self

    def listen(self, mel: torch.Tensor, lengths: torch.Tensor) -> Any:
        return self.answer


def test_loss_is_its_formula() -> None:
    logits = [0.5, -0.3, 1.2, -2.0, 0.1, 0.4, 3.0]
    batch = graded()
    classes = torch.randn(7, 8, 12, generator=torch.Generator().manual_seed(3))
    result = GradedRanking(anchor=0.5, hearing=0.3)(Fixed(torch.tensor(logits), classes), batch)

    def minus_log_sigmoid(x: float) -> float:
        return math.log1p(math.exp(-x))

    groups = [
        ([(0, 1), (0, 2), (0, 3), (1, 2)], 0, [1, 2, 3]),
        ([(5, 4)], 5, [4]),
    ]
    total = 0.0
    for pairs, real, others in groups:
        total += sum(minus_log_sigmoid(logits[one] - logits[other]) for one, other in pairs) / len(
            pairs
        )
        own = (
            minus_log_sigmoid(logits[real]) / 2
            + sum(minus_log_sigmoid(-logits[other]) for other in others) / len(others) / 2
        )
        total += 0.5 * own
        heard = 0.0
        for clip in [real, *others]:
            rows = list(range(0, int(batch["lengths"][clip]), 4))
            for step, row in enumerate(rows):
                for name in range(12):
                    logit = float(classes[clip, step, name])
                    heard += minus_log_sigmoid(
                        logit if batch["classes"][clip, row, name] else -logit
                    ) / len(rows)
        total += 0.3 * heard / (1 + len(others))
    assert float(result.count) == 2
    assert float(result.total) == pytest.approx(total, rel=1e-6)
    # (0, 2) and (1, 2) are the wrong way round.
    assert float(result.logs["accuracy"]) == pytest.approx((2 / 4 + 1) / 2)


def test_a_single_clip_moves_nothing() -> None:
    batch = {name: value[-1:] for name, value in graded().items()}
    batch["group"] = torch.zeros(1, dtype=torch.long)
    module = tiny()
    result = module.objective(module, batch)
    assert int(result.count) == 0
    result.total.backward()
    assert all(p.grad is None or not p.grad.any() for p in module.parameters())


def test_won_pairs_by_kind() -> None:
    won, pairs = won_pairs(torch.tensor([0.5, -0.3, 1.2, 0.5, 0.1, 0.4, 3.0]), graded())
    assert pairs.tolist() == [
        2.0 if kind == PITCH else 1.0 if kind in (TIMING, NOISE) else 0.0
        for kind in range(len(CLIP_KINDS))
    ]
    assert won[PITCH] == 1
    assert won[NOISE] == 0.5
    assert won[TIMING] == 1


class Steps(torch.utils.data.Dataset):
    """Real clips have a steady pulse, the others have none."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        real = torch.zeros(64, 16, dtype=torch.uint8)
        real[index % 8 :: 8, 3:7] = 200
        batch = LogMel(16).collate(
            [real, *(real[torch.randperm(64, generator=generator)] for _ in range(2))]
        )
        kinds = torch.tensor([0, TIMING, PITCH])
        classes = torch.zeros(3, 64, 12, dtype=torch.bool)
        group = torch.zeros(3, dtype=torch.long)
        return {
            **batch,
            "group": group,
            "kind": kinds,
            "strength": torch.tensor([0.0, 0.5, 0.5]),
            "classes": classes,
        }


def loader() -> DataLoader[Any]:
    return DataLoader(Steps(), batch_size=None)


def test_it_learns_and_says_what_it_hears(tmp_path: Path) -> None:
    # The order of clips alone, which hearing notes would help with real music and only hides here.
    module = tiny(channels=8, width=16, objective=GradedRanking(hearing=0.0))
    trainer = lightning.Trainer(max_epochs=60, default_root_dir=tmp_path, **QUIET)
    [before] = trainer.validate(module, loader(), verbose=False)
    trainer.fit(module, loader())
    [after] = trainer.validate(module, loader(), verbose=False)
    assert after["val/loss"] < 0.5 * before["val/loss"]
    assert after["val/above_timing"] > 0.9
    assert after["val/above_least"] == min(after["val/above_timing"], after["val/above_pitch"])
    assert "val/above_noise" not in after
    # The scale of preferences is that of the real clips of the last validation: among themselves
    # they are even.
    real = torch.tensor(module.real_logits, dtype=torch.float64)
    assert len(real) > 1
    assert real.equal(real.sort().values)
    torch.testing.assert_close(
        module.preferences(real).mean(), torch.tensor(0.5, dtype=torch.float64)
    )
    save_checkpoint(module, tmp_path / "ear")
    assert open_checkpoint(tmp_path / "ear").real_logits == module.real_logits


def test_eight_batches_of_one_are_one_of_eight(tmp_path: Path) -> None:
    weights = []
    for accumulated in (1, 4):
        module = tiny(dropout=0.0)
        trainer = lightning.Trainer(
            max_steps=2, accumulate_grad_batches=accumulated, default_root_dir=tmp_path, **QUIET
        )
        items = [Steps()[index] for index in range(8)]
        if accumulated == 1:
            items = [joined(items[start : start + 4]) for start in (0, 4)]
        trainer.fit(module, DataLoader(items, batch_size=None))
        weights.append(module.net.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-4, atol=1e-6)


def joined(batches: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    result = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    result["group"] = torch.arange(len(batches)).repeat_interleave(3)
    return result


def test_scores_are_those_of_each_clip_alone() -> None:
    module = MelAestheticsModule(channels=4, width=8, layers=1)
    module.train()
    rng = np.random.default_rng(0)
    sounds = [
        (0.1 * rng.normal(size=(2, count))).astype(np.float32) for count in (48_000, 100_000, 1)
    ]
    together = module.scores(sounds, 48_000)
    assert module.net.training
    assert together.dtype == torch.float64
    assert together.shape == (3,)
    assert torch.equal(together, torch.cat([module.scores([sound], 48_000) for sound in sounds]))
    assert module.scores([], 48_000).shape == (0,)


def test_shipped_sizes_are_small() -> None:
    module = MelAestheticsModule()
    assert sum(parameter.numel() for parameter in module.net.parameters()) < 250_000


@pytest.mark.parametrize(
    "settings", [{"mels": 20}, {"channels": 0}, {"layers": -1}, {"heads": 7}, {"dropout": 1.0}]
)
def test_sizes_that_make_no_net(settings: dict[str, Any]) -> None:
    with pytest.raises(MusicZooError, match="make no net"):
        MelAestheticsNet(MelAestheticsConfig(**settings))


def test_another_representation_is_refused() -> None:
    with pytest.raises(MusicZooError, match="does not fit"):
        MelAestheticsModule.from_config(tiny().to_config(), LogMel(32))
