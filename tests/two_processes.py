"""Two processes of torch.distributed that answer the test."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def answers_of_two(act: Callable[[int], Any], meeting: Path) -> dict[int, Any]:
    """What ``act(rank)`` gives in two forked processes that can reduce and gather, by rank."""
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    workers = [context.Process(target=_run, args=(act, rank, meeting, answers)) for rank in (0, 1)]
    for worker in workers:
        worker.start()
    found = dict(answers.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(60)
    return found


def _run(act: Callable[[int], Any], rank: int, meeting: Path, answers: Any) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2
    )
    answers.put((rank, act(rank)))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
