"""A run of preference rounds that was killed anywhere ends as one that was left in peace, and writes no piece twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from musiczoo.callbacks import run_folder
from musiczoo.models.bar_stream.module import BarStreamModule
from tests.callbacks.preference.test_files import as_version_0_1
from tests.callbacks.tiny_rounds import (
    CHUNKS,
    STEPS,
    Killed,
    Writer,
    fit,
    keep_everywhere,
    model,
    policies,
    rounds,
)
from tests.small_runs import KeepEverywhere, differing

pytestmark = pytest.mark.filterwarnings("ignore")
Run = tuple[BarStreamModule, KeepEverywhere, Path]


def whole(folder: Path, **settings: int) -> Run:
    saver = keep_everywhere(folder / "saved", folder / "rounds")
    module = fit(rounds(folder / "rounds"), callbacks=[saver], **settings)
    assert len(policies(folder / "rounds")) == 2
    return module, saver, folder / "rounds"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return whole(tmp_path_factory.mktemp("whole"))


def resumed(run: Run, name: str, folder: Path, **settings: object) -> tuple[BarStreamModule, int]:
    """A new process with what was on disk when a checkpoint was saved; how many chunks it wrote."""
    shutil.copytree(run[1].saved[name][1], folder)
    module = fit(rounds(folder), checkpoint=run[1].saved[name][0], **settings)
    return module, len(module.generate.calls)


def assert_same(run: Run, name: str, folder: Path, **settings: object) -> None:
    module, calls = resumed(run, name, folder, **settings)
    assert not differing(run[0], module)
    assert calls == 2 * CHUNKS - run[1].saved[name][2]
    assert policies(folder) == policies(run[2])


LAST = f"round1-batch{STEPS - 1}"


@pytest.mark.parametrize("name", ["round1-batch0", LAST, "round1-end", "round2-batch1"])
def test_resumed_equals_undisturbed(undisturbed, tmp_path, name):
    assert_same(undisturbed, name, tmp_path / "rounds")


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_at_every_checkpoint_equals_undisturbed(tmp_path, accumulate):
    run = whole(tmp_path, accumulate_grad_batches=accumulate)
    assert len(run[1].saved) == 2 * (STEPS * accumulate + 1)
    for name in run[1].saved:
        assert_same(run, name, tmp_path / f"from-{name}", accumulate_grad_batches=accumulate)


@pytest.mark.parametrize("name", [LAST, pytest.param("round1-end", marks=pytest.mark.slow)])
def test_resumed_twice_equals_undisturbed(undisturbed, tmp_path, name):
    # The run continues from the checkpoint, and is killed and resumed again in the next round.
    saver = keep_everywhere(tmp_path / "saved", tmp_path / "rounds")
    resumed(undisturbed, name, tmp_path / "rounds", callbacks=[saver])
    assert list(saver.saved) == [
        saved for saved in undisturbed[1].saved if saved.startswith("round2")
    ]
    for second in ("round2-batch0", f"round2-batch{STEPS - 1}", "round2-end"):
        folder = tmp_path / f"again-{second}"
        shutil.copytree(saver.saved[second][1], folder)
        again = fit(rounds(folder), checkpoint=saver.saved[second][0])
        assert not differing(undisturbed[0], again)
        assert again.generate.calls == []
        assert policies(folder) == policies(undisturbed[2])


@pytest.mark.parametrize(
    "name", [pytest.param("round1-batch1", marks=pytest.mark.slow), "round2-batch0"]
)
def test_what_later_rounds_left_on_disk_is_taken_up(undisturbed, tmp_path, name):
    # Killed long after the last checkpoint: both rounds are on disk.
    shutil.copytree(undisturbed[2], tmp_path / "rounds")
    module = fit(rounds(tmp_path / "rounds"), checkpoint=undisturbed[1].saved[name][0])
    assert not differing(undisturbed[0], module)
    assert module.generate.calls == []


def killed(
    folder: Path, writer: Callable[[BarStreamModule], Writer] = Writer
) -> tuple[KeepEverywhere, int]:
    """A run that dies; its checkpoints, and how many chunks it wrote."""
    saver, module = keep_everywhere(folder / "saved", folder / "rounds"), model(writer)
    with pytest.raises(Killed):
        fit(rounds(folder / "rounds"), module, callbacks=[saver])
    return saver, len(module.generate.calls)


def assert_goes_on(run: Run, folder: Path, saver: KeepEverywhere, calls: int) -> None:
    last = list(saver.saved.values())[-1][0] if saver.saved else None
    module = fit(rounds(folder / "rounds"), checkpoint=last)
    assert not differing(run[0], module)
    assert calls + len(module.generate.calls) == 2 * CHUNKS
    assert policies(folder / "rounds") == policies(run[2])


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(0, marks=pytest.mark.slow),
        1,
        CHUNKS + 1,
        pytest.param(CHUNKS + 2, marks=pytest.mark.slow),
    ],
)
def test_killed_while_it_writes_pieces(undisturbed, tmp_path, chunk):
    saver, calls = killed(tmp_path, lambda module: Writer(module, die_at=chunk))
    assert calls == chunk
    assert bool(saver.saved) == (chunk >= CHUNKS)
    assert_goes_on(undisturbed, tmp_path, saver, calls)


def test_a_run_begun_with_version_0_1(undisturbed, tmp_path):
    saver, calls = killed(tmp_path, lambda module: Writer(module, die_at=2))
    for path in (tmp_path / "rounds").rglob("*.parquet"):
        as_version_0_1(path)
    assert_goes_on(undisturbed, tmp_path, saver, calls)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("plan.json", marks=pytest.mark.slow),
        pytest.param("00001.parquet", marks=pytest.mark.slow),
        pytest.param("samples.parquet", marks=pytest.mark.slow),
        "sequences.parquet",
        pytest.param("pairs.parquet", marks=pytest.mark.slow),
        pytest.param("report.json", marks=pytest.mark.slow),
    ],
)
def test_killed_before_a_file_of_the_second_round_is_written(
    undisturbed, tmp_path, monkeypatch, name
):
    write = run_folder.write_atomically

    def dying(path: Path, content: bytes) -> None:
        if path.name == name and "round-002" in str(path):
            raise Killed
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_atomically", dying)
        saver, calls = killed(tmp_path)
    # A chunk that was written and not kept is lost.
    assert_goes_on(undisturbed, tmp_path, saver, calls - (name == "00001.parquet"))


@pytest.mark.parametrize(
    "name", ["round2-end", pytest.param(f"round2-batch{STEPS - 1}", marks=pytest.mark.slow)]
)
def test_killed_while_it_examines_the_last_policy(undisturbed, tmp_path, name):
    saver, module = (
        keep_everywhere(tmp_path / "saved", tmp_path / "rounds"),
        model(lambda one: Writer(one, die_at=2 * CHUNKS + 1)),
    )
    with pytest.raises(Killed):
        fit(rounds(tmp_path / "rounds", examine_last=True), module, callbacks=[saver])
    callback = rounds(tmp_path / "rounds", examine_last=True)
    again = fit(callback, checkpoint=saver.saved[name][0])
    assert not differing(undisturbed[0], again)
    assert len(module.generate.calls) + len(again.generate.calls) == 3 * CHUNKS
    assert sorted(callback.reports) == [1, 2, 3]
    assert callback.reports[3]["pieces"] == callback.reports[1]["pieces"]
    assert policies(tmp_path / "rounds") == policies(undisturbed[2])
