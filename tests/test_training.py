"""What training promises: stopped and resumed equals uninterrupted, and several processes equal one."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch

from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.models.bar_stream.module import BarStreamModule
from tests.small_runs import QUIET, SaveEverywhere, differing, small_model, two_voices


def data(*, batch_size: int = 4, **settings: Any) -> ScoreDataModule:
    return ScoreDataModule(
        [two_voices(seed) for seed in range(26)],
        batch_size=batch_size,
        progress=False,
        **({"val_fraction": 0.15} | settings),
    )


def model(dropout: float = 0.1, **settings: Any) -> BarStreamModule:
    torch.manual_seed(0)
    return small_model(dropout, **({"optimizer": _adamw} | settings))


def _adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3)


def _sgd(parameters: Any) -> torch.optim.Optimizer:
    # Adam divides a gradient by its own size, which makes rounding errors of near-zero gradients as
    # large as the learning rate.
    return torch.optim.SGD(parameters, lr=0.3, momentum=0.9)


def fit(
    source: ScoreDataModule, module: BarStreamModule | None = None, **settings: Any
) -> tuple[BarStreamModule, lightning.Trainer]:
    module = module or model(warmup_steps=4)
    checkpoint = settings.pop("checkpoint", None)
    trainer = lightning.Trainer(**(QUIET | {"max_epochs": 2} | settings))
    trainer.fit(module, source, ckpt_path=checkpoint)
    return module, trainer


@pytest.mark.filterwarnings("ignore")
def test_resumed_inside_an_accumulation_equals_uninterrupted(tmp_path):
    saver = SaveEverywhere(tmp_path)
    whole, _ = fit(data(), callbacks=[saver], accumulate_grad_batches=2, max_epochs=1)
    place = next(path for path in saver.paths if "batch2" in path.stem)
    resumed, _ = fit(data(num_workers=1), checkpoint=place, accumulate_grad_batches=2, max_epochs=1)
    assert not differing(whole, resumed)
    # Without the interrupted gradient, or with other batches, the result is another one.
    reseeded, _ = fit(data(seed=1), accumulate_grad_batches=2, max_epochs=1)
    assert differing(whole, reseeded)


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.filterwarnings("ignore")
def test_resumed_at_any_place_equals_uninterrupted(tmp_path, accumulate):
    saver = SaveEverywhere(tmp_path)
    whole, trainer = fit(data(), callbacks=[saver], accumulate_grad_batches=accumulate)
    assert len(saver.paths) > 10
    failures = {}
    for path in saver.paths:
        resumed, again = fit(data(), checkpoint=path, accumulate_grad_batches=accumulate)
        if again.global_step != trainer.global_step or differing(whole, resumed):
            failures[path.stem] = (
                again.global_step,
                trainer.global_step,
                len(differing(whole, resumed)),
            )
    assert not failures


@pytest.mark.dist
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.filterwarnings("ignore")
def test_two_processes_equal_one(batch_size, accumulate):
    settings = {"accumulate_grad_batches": accumulate}
    one, trainer = fit(
        data(batch_size=2 * batch_size), model(dropout=0.0, optimizer=_sgd), **settings
    )
    # The last batch holds one work, so that one of two processes has none.
    assert len(data().splits.train) % (2 * batch_size) == 1
    two, other = fit(
        data(batch_size=batch_size),
        model(dropout=0.0, optimizer=_sgd),
        devices=2,
        strategy="ddp_fork",
        **settings,
    )
    before = model(dropout=0.0).state_dict()
    theirs = two.state_dict()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-5, atol=1e-5)
    assert max(float((value - before[name]).abs().max()) for name, value in theirs.items()) > 0.01
    assert float(other.callback_metrics["val/loss"]) == pytest.approx(
        float(trainer.callback_metrics["val/loss"]), abs=1e-5
    )
