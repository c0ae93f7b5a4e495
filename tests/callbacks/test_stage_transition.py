"""Stages inside one fit: resumed anywhere it equals the uninterrupted one, and the ranks of DDP stay equal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.strategies import ModelParallelStrategy

from musiczoo.callbacks import Change, StageTransition
from musiczoo.models.adapters import LoRA
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.base.objective import Batch, ObjectiveResult
from musiczoo.models.objectives import Likelihood
from musiczoo.music.errors import MusicZooError
from tests.small_runs import SaveEverywhere
from tests.zoo.tiny_stages import QUIET, adamw, data, model, sgd

pytestmark = pytest.mark.filterwarnings("ignore")


class Half:
    """Another objective, recognised by its value."""

    def __call__(self, module: Any, batch: Batch) -> ObjectiveResult:
        result = Likelihood()(module, batch)
        return ObjectiveResult(result.total / 2, result.count)


def changes() -> list[Change]:
    return [
        Change(epoch=0, trainable=["char_level_decoder.*"]),
        Change(epoch=1, trainable=["*"], objective=Half(), optimizer=sgd, warmup_steps=3),
        # More batches than before, so that a state of the loader of before would not fit.
        Change(
            epoch=2,
            trainable=["patch_level_decoder.*"],
            optimizer=adamw,
            data=data(100, batch_size=3),
        ),
    ]


def adapting() -> list[Change]:
    return [
        Change(epoch=1, lora=LoRA(rank=2), optimizer=adamw),
        Change(epoch=2, merge=True, lora=LoRA(rank=3)),
        Change(epoch=3, merge=True, trainable=["char_level_decoder.*"], data=data(200)),
    ]


def fit(
    plan: Sequence[Change],
    *,
    checkpoint: Path | None = None,
    callbacks: Any = None,
    **settings: Any,
) -> tuple[BarStreamModule, Any]:
    torch.manual_seed(0)
    module = model()
    transition = [StageTransition(plan)]
    trainer = lightning.Trainer(
        **(QUIET | {"enable_checkpointing": False, "max_epochs": 4} | settings),
        callbacks=callbacks(transition) if callbacks else transition,
    )
    trainer.fit(module, data(), ckpt_path=checkpoint)
    return module, trainer


def differing(one: torch.nn.Module, other: torch.nn.Module) -> list[str]:
    theirs = other.state_dict()
    assert set(theirs) == set(one.state_dict())
    return [
        name for name, value in one.state_dict().items() if not torch.equal(value, theirs[name])
    ]


def test_each_stage_trains_what_it_says_and_is_told() -> None:
    seen: list[dict[str, Any]] = []

    class Watch(lightning.Callback):
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            names = {name for name, p in module.net.named_parameters() if p.requires_grad}
            [optimizer] = trainer.optimizers
            in_optimizer = {id(p) for group in optimizer.param_groups for p in group["params"]}
            assert in_optimizer == {id(p) for p in module.parameters() if p.requires_grad}
            seen.append(
                {
                    "parts": {name.split(".")[0] for name in names},
                    "objective": type(module.objective).__name__,
                    "optimizer": type(optimizer).__name__,
                    "batches": trainer.num_training_batches,
                    "rate": optimizer.param_groups[0]["lr"],
                    "weights": {
                        name: value.clone() for name, value in module.net.state_dict().items()
                    },
                }
            )

    module, trainer = fit(changes(), callbacks=lambda transition: [*transition, Watch()])
    char, patch = "char_level_decoder", "patch_level_decoder"
    assert [row["parts"] for row in seen] == [{char}, {char, patch}, {patch}, {patch}]
    assert [row["objective"] for row in seen] == ["Likelihood", "Half", "Half", "Half"]
    assert [row["optimizer"] for row in seen] == ["AdamW", "SGD", "AdamW", "AdamW"]
    assert [row["batches"] for row in seen] == [4, 4, 6, 6]
    assert seen[1]["rate"] == pytest.approx(0.3 / 3)
    first = {
        name.split(".")[0]
        for name, value in seen[0]["weights"].items()
        if not torch.equal(value, seen[1]["weights"][name])
    }
    last = {
        name.split(".")[0]
        for name, value in seen[2]["weights"].items()
        if not torch.equal(value, module.net.state_dict()[name])
    }
    assert (first, last) == ({char}, {patch})
    assert not module.net.patch_level_decoder.base.wte.weight.requires_grad
    told = [
        (row["steps"], row["epochs"], row["batch_size"]) for row in module.provenance["training"]
    ]
    assert told == [(4, 1, 4), (4, 1, 4), (12, 2, 3)]
    assert trainer.global_step == 20


def test_an_adapter_comes_and_goes() -> None:
    module, _ = fit(adapting())
    assert module.lora is None
    assert not [name for name in module.state_dict() if "lora" in name]
    assert set(module.state_dict()) == set(model().state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("plan", [changes, adapting])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_resumed_at_any_place_equals_uninterrupted(
    plan: Any, accumulate: int, tmp_path: Path
) -> None:
    settings = {"accumulate_grad_batches": accumulate}
    savers = [SaveEverywhere(tmp_path, "before"), SaveEverywhere(tmp_path, "after")]
    whole, trainer = fit(
        plan(), callbacks=lambda transition: [savers[0], *transition, savers[1]], **settings
    )
    # Steps inside an epoch are the same twice.
    paths = [
        path for saver in savers for path in saver.paths if "end" in path.stem or saver is savers[1]
    ]
    assert len(paths) > 20
    failures = {}
    for path in paths:
        resumed, again = fit(plan(), checkpoint=path, **settings)
        if (again.global_step, resumed.provenance) != (
            trainer.global_step,
            whole.provenance,
        ) or differing(whole, resumed):
            failures[path.stem] = (
                again.global_step,
                trainer.global_step,
                len(differing(whole, resumed)),
            )
    assert not failures


def test_resumed_at_the_ends_of_epochs_equals_uninterrupted(tmp_path: Path) -> None:
    for plan in (changes, adapting):
        savers = [SaveEverywhere(tmp_path, "before"), SaveEverywhere(tmp_path, "after")]
        whole, _ = fit(
            plan(),
            callbacks=lambda transition, savers=savers: [savers[0], *transition, savers[1]],
            max_epochs=3,
        )
        for path in sorted(
            path
            for saver in savers
            for path in saver.paths
            if path.stem.endswith(("epoch1-end", "epoch2-end"))
        ):
            resumed, _ = fit(plan(), checkpoint=path, max_epochs=3)
            assert not differing(whole, resumed), path.stem
            assert resumed.provenance == whole.provenance, path.stem


class KeepRanks(lightning.Callback):
    """Writes each rank's weights when training ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        torch.save(module.net.state_dict(), self.folder / f"rank{trainer.global_rank}.pt")


def spread(folder: Path) -> float:
    """Largest difference between the weights of two ranks."""
    one, other = (torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    return max(float((value - other[name]).abs().max()) for name, value in one.items())


@pytest.mark.dist
@pytest.mark.parametrize("plan", [changes, adapting])
def test_ranks_stay_equal_after_an_unfreeze(plan: Any, tmp_path: Path) -> None:
    fit(
        plan(),
        callbacks=lambda transition: [*transition, KeepRanks(tmp_path)],
        devices=2,
        strategy="ddp_fork",
    )
    assert spread(tmp_path) == 0.0


@pytest.mark.dist
def test_without_wrapping_anew_the_ranks_drift_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The control: the fault that is cured exists, and spread() sees it.
    wrapped: list[Any] = []

    def once(strategy: Any) -> None:
        if not wrapped:
            wrapped.append(strategy._setup_model(strategy.model))
        strategy.model = wrapped[0]

    monkeypatch.setattr("lightning.pytorch.strategies.DDPStrategy.configure_ddp", once)
    fit(
        changes(),
        callbacks=lambda transition: [*transition, KeepRanks(tmp_path)],
        devices=2,
        strategy="ddp_fork",
    )
    assert spread(tmp_path) > 0.001


@pytest.mark.dist
def test_two_processes_equal_one(tmp_path: Path) -> None:
    plan = [
        Change(epoch=0, trainable=["char_level_decoder.*"]),
        Change(epoch=1, trainable=["*"], optimizer=sgd, data=data(100, batch_size=2)),
    ]
    alone = [plan[0], Change(epoch=1, trainable=["*"], optimizer=sgd, data=data(100, batch_size=4))]

    def run(plan: list[Change], batch_size: int, **settings: Any) -> BarStreamModule:
        torch.manual_seed(0)
        module = model(dropout=0.0, optimizer=sgd)
        trainer = lightning.Trainer(
            **QUIET,
            enable_checkpointing=False,
            max_epochs=2,
            callbacks=[StageTransition(plan)],
            **settings,
        )
        trainer.fit(module, data(batch_size=batch_size))
        return module

    one, two = run(alone, 4, devices=1), run(plan, 2, devices=2, strategy="ddp_fork")
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=1e-5, atol=1e-5)


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MusicZooError, match="ascending"):
        StageTransition([Change(epoch=2), Change(epoch=1)])
    with pytest.raises(MusicZooError, match=r"Trainer\.fit gets"):
        StageTransition([Change(epoch=0, data=data())])
    with pytest.raises(MusicZooError, match="No parameter has a name like char_decoder"):
        fit([Change(epoch=0, trainable=["char_decoder.*"])])
    with pytest.raises(MusicZooError, match="run_stages"):
        fit(changes(), max_steps=9)
    with pytest.raises(MusicZooError, match="cool-down"):
        lightning.Trainer(**QUIET, max_epochs=3, callbacks=[StageTransition(changes())]).fit(
            model(cooldown_steps=2), data()
        )
    saver = SaveEverywhere(tmp_path)
    lightning.Trainer(**QUIET, max_steps=1, callbacks=[saver]).fit(model(), data())
    with pytest.raises(MusicZooError, match="without StageTransition"):
        fit(changes(), checkpoint=saver.paths[0])


def test_sharding_strategies_are_refused_with_the_way_out() -> None:
    trainer = lightning.Trainer(**QUIET, strategy=ModelParallelStrategy(), devices=2)
    with pytest.raises(MusicZooError, match=r"ModelParallelStrategy: what is sharded .*run_stages"):
        StageTransition(changes()).setup(trainer, model(), "fit")
