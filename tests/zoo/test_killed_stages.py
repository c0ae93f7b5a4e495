"""A plan that is killed (SIGKILL) at any moment and run again gives what an undisturbed run gives, to the last bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from musiczoo import Stage, run_stages
from musiczoo.callbacks import PreferenceRounds
from musiczoo.models.base.generative import Generated
from musiczoo.models.objectives import DPOP
from musiczoo.music.recipes.labels import Labels
from tests.zoo.readable import make_pieces_readable
from tests.zoo.tiny_stages import later_data, two_stages

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def _readable_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    make_pieces_readable(monkeypatch)


def many_of_c(pieces: Sequence[Generated]) -> list[float]:
    return [piece.text.count("C") + len(piece.text) / 1000 for piece in pieces]


def best() -> list[Any]:
    return [ModelCheckpoint(monitor="val/loss", filename="best")]


def rounds() -> list[Any]:
    return [
        PreferenceRounds(
            rounds=2,
            steps=4,
            samples=8,
            reward=many_of_c,
            prompts=[Labels("Baroque", "Bach, Johann Sebastian", "Choral")],
            fraction=0.25,
            aligned=False,
            grouped_staves=False,
            plagiarism=None,
            chunk=4,
            progress=False,
        )
    ]


def plan() -> list[Stage]:
    """Likelihood, whose best weights are handed over; then two rounds of preference."""
    first, second = two_stages()
    return [
        replace(
            first,
            callbacks=best,
            keep="best",
            trainer={**first.trainer, "val_check_interval": 2},
            checkpoint_every=1,
        ),
        replace(
            second,
            name="preference",
            data=later_data,
            objective=DPOP(),
            callbacks=rounds,
            max_steps=None,
            max_epochs=2,
            checkpoint_every=2,
            trainer={**second.trainer, "gradient_clip_val": 1.0},
        ),
    ]


def result(folder: Path) -> dict[str, bytes]:
    """All that a run has made and that tells what it computed: ledger, checkpoint folders, rounds and their policies."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".ckpt"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def run_here(folder: Path) -> None:
    run_stages(plan(), folder)


def in_child(target: Callable[..., None], *args: Any, kill_after: float | None = None) -> int:
    """Runs a function in a forked process, which costs no start, and kills it after a number of seconds; returns its exit code."""
    process = multiprocessing.get_context("fork").Process(target=target, args=args)
    process.start()
    if kill_after is not None:
        process.join(kill_after)
        process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def killed_at_move(folder: Path, number: int, after: bool) -> None:
    """Kills itself at the n-th time that a file or folder takes its final name."""
    move, moves = os.replace, iter(range(1, 10_000))

    def counted(*args: Any, **options: Any) -> None:
        now = next(moves) == number
        if now and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        move(*args, **options)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = counted
    run_here(folder)


def count_moves(folder: Path) -> None:
    move, moves = os.replace, []

    def counted(*args: Any, **options: Any) -> None:
        moves.append(1)
        move(*args, **options)

    os.replace = counted
    run_here(folder)
    (folder.parent / "moves").write_text(str(len(moves)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, int]:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        make_pieces_readable(patch)
        began = time.monotonic()
        assert in_child(count_moves, folder) == 0
        took = time.monotonic() - began
    return folder, took, int((folder.parent / "moves").read_text())


def test_killed_at_ten_random_moments(undisturbed: tuple[Path, float, int], tmp_path: Path) -> None:
    whole, took, _ = undisturbed
    wanted = result(whole)
    assert sum("round-" in name for name in wanted) > 4
    rng = random.Random(4)
    codes = []
    for number in range(10):
        folder = tmp_path / str(number)
        codes.append(in_child(run_here, folder, kill_after=rng.uniform(0.05, 0.98) * took))
        states = (
            {
                row["name"]: row["state"]
                for row in json.loads((folder / "stages.json").read_text())["stages"]
            }
            if folder.exists()
            else {}
        )
        print(number, codes[-1], states)
        assert in_child(run_here, folder) == 0
        made = result(folder)
        assert sorted(made) == sorted(wanted), number
        assert [name for name, data in made.items() if data != wanted[name]] == [], number
    assert codes.count(-signal.SIGKILL) >= 7


def test_killed_where_names_are_taken(undisturbed: tuple[Path, float, int], tmp_path: Path) -> None:
    # Between two names that are taken nothing on the disk changes that is ever read again: these
    # are all the moments there are.
    whole, _, moves = undisturbed
    wanted = result(whole)
    rng = random.Random(5)
    for number in sorted(rng.sample(range(1, moves + 1), min(8, moves))):
        folder = tmp_path / str(number)
        assert in_child(killed_at_move, folder, number, rng.random() < 0.5) == -signal.SIGKILL
        assert in_child(run_here, folder) == 0
        made = result(folder)
        assert [name for name in {*made, *wanted} if made.get(name) != wanted.get(name)] == [], (
            number
        )
