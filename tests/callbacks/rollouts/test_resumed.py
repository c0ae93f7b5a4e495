"""A run of rollouts that was killed anywhere ends as one that was left in peace."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from musiczoo.callbacks.rollouts.files import RolloutFiles
from musiczoo.models.bar_stream.module import BarStreamModule
from musiczoo.music.errors import MusicZooError
from tests.callbacks.tiny_rollouts import (
    STEPS,
    Killed,
    Speaker,
    fit,
    keep_everywhere,
    model,
    rollouts,
)
from tests.small_runs import KeepEverywhere, differing

pytestmark = pytest.mark.filterwarnings("ignore")
Run = tuple[BarStreamModule, KeepEverywhere, Path]
MICRO = 3
# Batches of a run with two iterations.
BATCHES = STEPS * 2 * MICRO


def settings(iterations: int) -> dict[str, object]:
    return {"iterations": iterations, "keep": ("scores", "midi")}


def whole(folder: Path, iterations: int, before: bool = False) -> Run:
    saver = keep_everywhere(folder / "saved", folder / "run")
    module = fit(
        rollouts(folder / "run", **settings(iterations)),
        **{"before" if before else "callbacks": [saver]},
    )
    return module, saver, folder / "run"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return whole(tmp_path_factory.mktemp("whole"), 2)


def contents(folder: Path) -> dict[str, object]:
    """The files of a run, without the seconds that it took."""
    files = RolloutFiles(folder)
    steps = {
        str(step): [{**row, "tokens": row["tokens"].tolist()} for row in files.step(step)]
        for step in files.steps()
    }
    media = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.glob("steps/*/*"))
    }
    # NaN is not equal to itself.
    return {
        "steps": repr(steps),
        "media": media,
        "reference": files.reference.read_bytes(),
        "plan": (folder / "plan.json").read_bytes(),
    }


def assert_same(run: Run, name: str, folder: Path, iterations: int) -> None:
    path, kept, calls = run[1].saved[name]
    shutil.copytree(kept, folder)
    callback = rollouts(folder, **settings(iterations))
    module = fit(callback, checkpoint=path)
    assert not differing(run[0], module)
    assert calls + len(module.stream.calls) == STEPS
    assert contents(folder) == contents(run[2])
    assert [report["step"] for report in callback.reports] == [1, 2, 3]


@pytest.mark.parametrize(
    "name",
    [
        "batch0",
        "batch2",
        f"batch{2 * MICRO - 1}",
        f"batch{2 * MICRO + 3}",
        f"batch{BATCHES - 1}",
        "end",
    ],
)
def test_resumed_equals_undisturbed(undisturbed, tmp_path, name):
    assert_same(undisturbed, name, tmp_path / "run", 2)


@pytest.mark.slow
@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize("before", [False, True])
def test_resumed_at_every_checkpoint_equals_undisturbed(tmp_path, iterations, before):
    run = whole(tmp_path, iterations, before)
    assert len(run[1].saved) == STEPS * iterations * MICRO + 1
    for name in run[1].saved:
        assert_same(run, name, tmp_path / f"from-{name}", iterations)


def test_resumed_twice_equals_undisturbed(undisturbed, tmp_path):
    path, kept, _ = undisturbed[1].saved["batch1"]
    shutil.copytree(kept, tmp_path / "run")
    saver = keep_everywhere(tmp_path / "saved", tmp_path / "run")
    fit(rollouts(tmp_path / "run", **settings(2)), callbacks=[saver], checkpoint=path)
    path, kept, _ = saver.saved[f"batch{2 * MICRO + 1}"]
    shutil.copytree(kept, tmp_path / "again")
    module = fit(rollouts(tmp_path / "again", **settings(2)), checkpoint=path)
    assert not differing(undisturbed[0], module)
    assert contents(tmp_path / "again") == contents(undisturbed[2])


def test_resumed_long_after_the_checkpoint(undisturbed, tmp_path):
    # The folder knows more steps than the checkpoint; they are made again, and those of a run that
    # ends earlier are not left behind.
    shutil.copytree(undisturbed[2], tmp_path / "run")
    callback = rollouts(tmp_path / "run", **settings(2))
    module = fit(callback, checkpoint=undisturbed[1].saved["batch4"][0])
    assert not differing(undisturbed[0], module)
    assert contents(tmp_path / "run") == contents(undisturbed[2])


def test_begun_anew_in_the_folder_of_a_killed_run(undisturbed, tmp_path):
    first = model(lambda one: Speaker(one, die_at=2))
    with pytest.raises(Killed):
        fit(rollouts(tmp_path / "run", **settings(2)), first)
    assert RolloutFiles(tmp_path / "run").steps() == [1, 2]
    second = model(lambda one: Speaker(one, die_at=1))
    with pytest.raises(Killed):
        fit(rollouts(tmp_path / "run", **settings(2)), second)
    assert RolloutFiles(tmp_path / "run").steps() == [1]
    module = fit(rollouts(tmp_path / "run", **settings(2)))
    assert not differing(undisturbed[0], module)
    assert contents(tmp_path / "run") == contents(undisturbed[2])


def test_the_reference_is_the_policy_that_the_run_began_with(undisturbed, tmp_path):
    path, kept, _ = undisturbed[1].saved[f"batch{2 * MICRO - 1}"]
    shutil.copytree(kept, tmp_path / "run")
    file = RolloutFiles(tmp_path / "run").reference
    content = file.read_bytes()
    for broken, complaint in (
        (None, "is gone.*folder="),
        (b"{}", "cannot be read"),
        (content[:-4] + b"abcd", "another policy"),
    ):
        file.unlink() if broken is None else file.write_bytes(broken)
        with pytest.raises(MusicZooError, match=complaint):
            fit(rollouts(tmp_path / "run", **settings(2)), checkpoint=path)
    file.write_bytes(content)
    state = torch.load(path, weights_only=True)["state_dict"]
    assert not any("reference" in name for name in state)
    assert set(state) == set(model().state_dict())


def test_checkpoints_of_other_runs_are_refused(undisturbed, tmp_path):
    path, kept, _ = undisturbed[1].saved["batch4"]
    shutil.copytree(kept, tmp_path / "run")
    with pytest.raises(MusicZooError, match="6 batches a step, and now there are 4"):
        fit(rollouts(tmp_path / "run", **settings(2), batch_size=3), checkpoint=path)
    with pytest.raises(MusicZooError, match="another run: seed differ"):
        fit(rollouts(tmp_path / "run", **settings(2), seed=5), checkpoint=path)
    other = model()
    torch.nn.init.ones_(next(other.net.parameters()))
    with pytest.raises(MusicZooError, match="another run: policy differ"):
        fit(rollouts(tmp_path / "run", **settings(2)), other)
