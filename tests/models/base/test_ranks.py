"""Gathering over the processes of a run: with one process, and with two."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch.distributed

from musiczoo.models.base.ranks import agreed, from_first, gathered
from musiczoo.music.errors import MusicZooError


def failing() -> int:
    raise MusicZooError("This process failed.", where="here")


def test_one_process_sends_nothing():
    thing = object()
    assert gathered(thing, 1) == [thing]
    assert from_first(thing, 1) is thing
    assert agreed(lambda: 7, 1) == 7
    with pytest.raises(MusicZooError, match="This process failed"):
        agreed(failing, 1)


def _run(rank: int, meeting: Path, answers: Any) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2
    )
    found: list[Any] = [
        gathered({"rank": rank}, 2),
        from_first(f"of {rank}", 2),
        agreed(lambda: rank, 2),
    ]
    try:
        agreed(failing if rank else lambda: rank, 2)
    except MusicZooError as error:
        found.append(error.message)
    answers.put((rank, found))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.dist
def test_two_processes_agree(tmp_path):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    workers = [
        context.Process(target=_run, args=(rank, tmp_path / "meeting", answers))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    found = dict(answers.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(60)
    for rank, answer in found.items():
        assert answer == [
            [{"rank": 0}, {"rank": 1}],
            "of 0",
            rank,
            "This process failed.",
        ]
    assert len(found) == 2
