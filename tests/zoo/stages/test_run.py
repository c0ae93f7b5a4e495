"""Plans: each stage follows its settings, a run continues where it stopped, and every change is noticed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint

import musiczoo
from musiczoo import MusicZooError, run_stages
from musiczoo.cli import main
from musiczoo.hub.checkpoint import open_checkpoint, read_checkpoint
from musiczoo.models.adapters import LoRA
from musiczoo.models.objectives import DPOP, Likelihood
from musiczoo.music.abc import write_abc
from musiczoo.stages.ledger import Ledger, differences
from musiczoo.stages.stage import PlannedStage, described
from tests.zoo.tiny_stages import QUIET, data, model, plain_plan, sgd, tune, two_stages, weights

pytestmark = pytest.mark.filterwarnings("ignore")


class Stop(lightning.Callback):
    """Ends the process's part in a fit after a number of batches, as an error would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step >= self.after:
            raise RuntimeError("stopped")


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads((folder / "stages.json").read_text())["stages"]}


def same(one: Path, other: Path) -> bool:
    return all(
        weights(one / name / "checkpoint") == weights(other / name / "checkpoint")
        and read_checkpoint(one / name / "checkpoint").content
        == read_checkpoint(other / name / "checkpoint").content
        for name in ("first", "second")
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run_stages(two_stages(), folder)
    return folder


def test_stages_hand_over_and_are_told(undisturbed: Path) -> None:
    made = rows(undisturbed)
    assert [(row["state"], row["steps"]) for row in made.values()] == [("done", 8), ("done", 7)]
    assert made["second"]["start"] == {"stage": "first", "weights": made["first"]["weights"]}
    assert made["first"]["weights"] == read_checkpoint(undisturbed / "first/checkpoint").fingerprint
    torch.manual_seed(0)
    before, first = (
        model().net.state_dict(),
        open_checkpoint(undisturbed / "first/checkpoint").net.state_dict(),
    )
    assert {
        name.split(".")[0] for name, value in before.items() if not torch.equal(value, first[name])
    } == {"char_level_decoder"}
    second = musiczoo.load(f"local-dir:{undisturbed / 'second/checkpoint'}")
    assert second.stage == "second"
    training = second.provenance["training"]
    assert [(row["steps"], row["optimizer"].split(",")[0]) for row in training] == [
        (8, "AdamW"),
        (7, "SGD"),
    ]
    assert not list(undisturbed.rglob("*.ckpt"))


def test_a_stopped_run_goes_on_bit_for_bit(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, points = lightning.Trainer.fit, []

    def watched(trainer: Any, *args: Any, ckpt_path: Path | None = None, **options: Any) -> None:
        points.append(ckpt_path and ckpt_path.stem)
        fit(trainer, *args, ckpt_path=ckpt_path, **options)

    moments = [
        (0, 1, None),
        (0, 3, "000000-000000002-0"),
        # Just before a point is kept; after an epoch; and the same in the second stage, which is
        # counted in steps.
        (0, 4, "000000-000000002-0"),
        (0, 5, "000000-000000004-1"),
        (1, 5, "000000-000000003-0"),
        (1, 6, "000000-000000005-1"),
        (1, 7, "000001-000000006-0"),
    ]
    for number, (stage, after, point) in enumerate(moments):
        folder = tmp_path / str(number)
        plan = two_stages()
        broken = [
            replace(each, callbacks=partial(list, [Stop(after)])) if place == stage else each
            for place, each in enumerate(plan)
        ]
        with pytest.raises(RuntimeError, match="stopped"):
            run_stages(broken, folder)
        # The callback is part of the configuration; a run that was killed has none.
        path = folder / "stages.json"
        content = json.loads(path.read_text())
        for row, planned in zip(content["stages"], plan, strict=False):
            row["config"] = {name: described(getattr(planned, name)) for name in row["config"]}
            row["config_sha256"] = rows(undisturbed)[row["name"]]["config_sha256"]
        path.write_text(json.dumps(content))
        points.clear()
        with monkeypatch.context() as patch:
            patch.setattr(lightning.Trainer, "fit", watched)
            run_stages(plan, folder)
        assert points == [point, None][: 2 - stage]
        assert same(folder, undisturbed), (stage, after)


def test_done_stages_are_skipped_and_the_last_moment_is_safe(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = two_stages()
    # Between the last step and the ledger: the checkpoint folder is there, and nobody has noted it.
    monkeypatch.setattr(
        "musiczoo.stages.ledger.Ledger.finish",
        lambda *_: (_ for _ in ()).throw(RuntimeError("killed")),
    )
    with pytest.raises(RuntimeError, match="killed"):
        run_stages(plan, tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "first/checkpoint/config.json").is_file()
    assert rows(tmp_path)["first"]["state"] == "running"
    run_stages(plan, tmp_path)
    assert same(tmp_path, undisturbed)
    # Done stages are not run again.
    never = partial(pytest.fail, "built")
    monkeypatch.setattr("musiczoo.stages.run._run", never)
    run_stages(plan, tmp_path)


def test_changes_are_refused_with_the_way_out(undisturbed: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    plan = two_stages()
    with pytest.raises(
        MusicZooError,
        match=r"stage second: Its configuration has changed since it began: max_steps: 7 -> 8.*--restart-from second",
    ):
        run_stages([plan[0], replace(plan[1], max_steps=8)], folder)
    path = folder / "second/checkpoint/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(
        MusicZooError, match=r"weights that it made are not whole.*--restart-from second"
    ):
        run_stages(plan, folder)
    # Another first stage makes other weights, and the second stands on the old ones.
    run_stages([replace(plan[0], max_epochs=1)], folder, restart_from="first")
    with pytest.raises(MusicZooError, match="Stage first has made other weights"):
        run_stages([replace(plan[0], max_epochs=1), plan[1]], folder)
    # Back to the plan: everything that builds on the first stage is forgotten with it.
    run_stages(plan, folder, restart_from="first")
    assert same(folder, undisturbed)
    with pytest.raises(MusicZooError, match="no stage 'third'"):
        run_stages(plan, folder, restart_from="third")


def test_a_plan_may_branch(tmp_path: Path) -> None:
    first, second = two_stages()
    plan = [
        replace(first, max_epochs=1),
        replace(second, name="post", max_steps=2),
        replace(second, name="with", max_steps=2),
        replace(second, name="without", start="first", max_steps=2),
    ]
    run_stages(plan, tmp_path)
    made = rows(tmp_path)
    assert [made[name]["start"]["stage"] for name in made] == [None, "first", "post", "first"]
    # From the same weights with the same data and optimiser comes the same.
    assert (
        weights(tmp_path / "without/checkpoint")
        == weights(tmp_path / "post/checkpoint")
        != weights(tmp_path / "with/checkpoint")
    )
    assert len(open_checkpoint(tmp_path / "with/checkpoint").provenance["training"]) == 3


def test_adapters_are_merged_or_handed_on(tmp_path: Path) -> None:
    first, second = two_stages()
    plan = [
        replace(first, trainable=None, max_epochs=1),
        replace(second, name="merged", lora=LoRA(rank=2), max_steps=2),
        replace(second, name="adapter", start="first", lora=LoRA(rank=2), merge=False, max_steps=2),
        replace(second, name="on", start="adapter", max_steps=2),
    ]
    run_stages(plan, tmp_path)
    merged, adapter, on = (
        open_checkpoint(tmp_path / name / "checkpoint") for name in ("merged", "adapter", "on")
    )
    assert merged.lora is None
    assert adapter.lora == LoRA(rank=2)
    assert on.lora is None
    batch = merged.reference_batch()
    torch.testing.assert_close(merged.reference_outputs(batch), adapter.reference_outputs(batch))
    assert not torch.allclose(
        on.reference_outputs(batch)["log_probs"], adapter.reference_outputs(batch)["log_probs"]
    )


def test_the_best_weights_are_handed_over(tmp_path: Path) -> None:
    # A rate of 3 ruins the second epoch.
    def rising() -> list[ModelCheckpoint]:
        return [ModelCheckpoint(tmp_path / "best", monitor="val/loss", filename="best-{epoch}")]

    def ruined(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=30.0)

    first = two_stages()[0]
    run_stages(
        [
            replace(
                first,
                callbacks=rising,
                optimizer=ruined,
                max_epochs=3,
                keep="best",
                warmup_steps=40,
            )
        ],
        tmp_path / "run",
    )
    [best] = (tmp_path / "best").glob("*.ckpt")
    kept = torch.load(best, weights_only=True)["state_dict"]
    handed = open_checkpoint(tmp_path / "run/first/checkpoint").net.state_dict()
    assert all(torch.equal(kept[f"net.{name}"], value) for name, value in handed.items())
    with pytest.raises(MusicZooError, match="no best weights"):
        run_stages([replace(first, keep="best", max_epochs=1)], tmp_path / "other")


def test_wrong_plans_are_refused(tmp_path: Path) -> None:
    first, second = two_stages()
    wrong = {
        "has no stages": [],
        "cannot be called 'a b'": [replace(first, name="a b")],
        "two stages 'first'": [first, replace(second, name="first")],
        "A model of the zoo is called 'notagen'": [replace(first, name="notagen")],
        "nothing before it": [second],
        "'third' comes later": [replace(first, start="third"), replace(second, name="third")],
        "no stage or model 'nothing'": [replace(first, start="nothing")],
        "How long": [replace(first, max_epochs=None)],
        "at least one step": [replace(first, max_steps=0)],
        "trainer.max_epochs is not set here": [replace(first, trainer={"max_epochs": 3})],
        "Settings belong to a start that is a name": [replace(first, settings={"dropout": 0.0})],
    }
    for message, plan in wrong.items():
        with pytest.raises(MusicZooError, match=re.escape(message)):
            run_stages(plan, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_descriptions_are_the_same_in_every_process() -> None:
    one, other = data(), data()
    other.setup()
    assert described(one) == described(other) != described(data(1))
    assert described(DPOP(beta=0.2)) == {
        "class": "musiczoo.models.objectives.preference.DPOP",
        "beta": 0.2,
        "lambda_": 10.0,
        "penalty": "inside",
    }
    assert described(partial(sgd, 1)) == {
        "call": "tests.zoo.tiny_stages.sgd",
        "args": [1],
        "kwargs": {},
    }
    assert described(LoRA(rank=3)) != described(LoRA(rank=4))
    assert described([tune(1)] * 70)["items"] == 70
    json.dumps(described(two_stages()))
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == [
        "a.b: 1 -> 3",
        "a.c: 2 -> (nothing)",
        "d: (nothing) -> 4",
    ]


def write_plan(folder: Path, **changes: Any) -> Path:
    for number in range(12):
        (folder / "scores").mkdir(exist_ok=True)
        (folder / f"scores/{number}.abc").write_text(
            "".join(f"{line}\n" for line in write_abc(tune(number)).splitlines())
        )
    source = {
        "class_path": "ScoreDataModule",
        "init_args": {"corpus": str(folder / "scores"), "cache": str(folder), "progress": False},
    }
    module = {"patch_layers": 1, "char_layers": 1, "hidden": 32, "heads": 2, "patch_length": 24}
    plan = {
        "trainer": QUIET,
        "stages": [
            {
                "name": "first",
                "start": {
                    "class_path": "musiczoo.models.bar_stream.BarStreamModule",
                    "init_args": module,
                },
                "data": source,
                "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
                "max_steps": 2,
                "seed": 1,
            },
            {
                "name": "second",
                "settings": {"dropout": 0.0},
                "data": source,
                "objective": {"class_path": "musiczoo.models.objectives.Likelihood"},
                "trainable": ["char_level_decoder.*"],
                "trainer": {"accumulate_grad_batches": 2},
                "max_epochs": 1,
                **changes,
            },
        ],
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan))
    return path


def test_a_plan_in_yaml_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, folder = write_plan(tmp_path), tmp_path / "run"
    main(["stages", str(plan), "--folder", str(folder)])
    assert f"second: {folder}/second/checkpoint" in capsys.readouterr().out
    done = open_checkpoint(folder / "second/checkpoint")
    assert done.net.config.dropout == 0.0
    assert isinstance(done.objective, Likelihood)
    assert [row["optimizer"].split(",")[0] for row in done.provenance["training"]] == [
        "SGD",
        "AdamW",
    ]
    main(["stages", str(plan), "--folder", str(folder), "--check"])
    assert (
        "first: from new weights; done after 2 steps\nsecond: from first; done after"
        in capsys.readouterr().out
    )
    with pytest.raises(SystemExit):
        main(["stages", str(write_plan(tmp_path, max_epochs=2)), "--folder", str(folder)])
    assert "max_epochs: 1 -> 2" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["stages", "bar_stream/no_plan", "--folder", str(folder)])
    assert "bar_stream/notagen_plan" in capsys.readouterr().err


def test_unknown_settings_in_yaml_are_refused_by_name(tmp_path: Path) -> None:
    def failing(**changes: Any) -> str:
        with pytest.raises(MusicZooError) as caught:
            run_stages(write_plan(tmp_path, **changes), tmp_path / "run")
        return str(caught.value)

    assert "stage second: There is no setting 'trainabel'. There is trainable." in failing(
        trainabel=[]
    )
    assert "'precicion'" in failing(trainer={"precicion": 16})
    assert "trainer.callbacks is not set here. It is callbacks of the stage." in failing(
        trainer={"callbacks": []}
    )
    assert "'lamda'" in failing(
        objective={"class_path": "musiczoo.models.objectives.DPOP", "init_args": {"lamda": 1}}
    )
    assert "'corpse'" in failing(
        data={"class_path": "ScoreDataModule", "init_args": {"corpse": "x"}}
    )
    assert "trainable" in failing(trainable="everything")
    assert "How long" in failing(max_epochs=None)
    assert "no stage or model 'frist'" in failing(start="frist")
    assert not (tmp_path / "run").exists()
    (tmp_path / "plan.yaml").write_text("stages: [\n")
    with pytest.raises(MusicZooError, match="cannot be read"):
        run_stages(tmp_path / "plan.yaml", tmp_path / "run")
    (tmp_path / "plan.yaml").write_text("stage: []\n")
    with pytest.raises(MusicZooError, match="no list of stages"):
        run_stages(tmp_path / "plan.yaml", tmp_path / "run")


class KeepRanks(lightning.Callback):
    """Writes each rank's weights when training ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        torch.save(module.net.state_dict(), self.folder / f"rank{trainer.global_rank}.pt")


@pytest.mark.dist
def test_ranks_stay_equal_after_an_unfreeze(tmp_path: Path) -> None:
    plan = two_stages(devices=2, strategy="ddp_fork")
    plan[1] = replace(plan[1], callbacks=lambda: [KeepRanks(tmp_path)])
    run_stages(plan, tmp_path / "run")
    one, other = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    handed = open_checkpoint(tmp_path / "run/second/checkpoint").net.state_dict()
    assert all(torch.equal(value, handed[name]) for name, value in one.items())
    assert rows(tmp_path / "run")["second"]["state"] == "done"


@pytest.mark.dist
def test_two_processes_equal_one(tmp_path: Path) -> None:
    run_stages(plain_plan(4, devices=1), tmp_path / "one")
    run_stages(plain_plan(2, devices=2, strategy="ddp_fork"), tmp_path / "two")
    one, two = (
        open_checkpoint(tmp_path / name / "second/checkpoint").net.state_dict()
        for name in ("one", "two")
    )
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-5)


def test_a_class_that_has_moved_is_no_change_of_the_configuration(tmp_path: Path) -> None:
    path = "musiczoo.callbacks.group_rollouts.GroupRollouts"
    config = {"callbacks": [{"class": path, "steps": 3}]}
    stage = PlannedStage("first", None, config, two_stages)
    ledger = Ledger(tmp_path)
    ledger.begin(stage, None)
    row = ledger.rows()["first"]
    moved = {"class": "musiczoo.callbacks.rollouts.callback.GroupRollouts", "steps": 3}
    ledger.check(replace(stage, config={"callbacks": [moved]}), row, None)
    with pytest.raises(MusicZooError, match="configuration has changed"):
        ledger.check(replace(stage, config={"callbacks": [{**moved, "steps": 4}]}), row, None)
