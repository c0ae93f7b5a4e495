"""Tasks that run at the same time, each in a process of one thread."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_side_by_side(
    module: str, tasks: Mapping[str, Sequence[str]], folder: Path, workers: int
) -> None:
    """Runs a program once for each task, with the words of this call and those of the task.

    Nets as small as ours gain little from several threads, so each process has one.

    Args:
        module: The program, as ``python -m`` names it.
        tasks: For each task its name and the words to append.
        folder: Output and errors of a task go to ``<folder>/<name>.log``.
        workers: Processes at a time.

    Raises:
        SystemExit: When tasks failed; it names them and their logs.
    """
    words = [sys.executable, "-m", module, *sys.argv[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    waiting, failed = list(tasks), []
    running: dict[str, subprocess.Popen[bytes]] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            name = waiting.pop(0)
            command = [*words, *tasks[name]]
            with open(folder / f"{name}.log", "ab") as log:  # the process keeps its own handle
                running[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            print(f"{time.strftime('%H:%M:%S')}  {name}  ({len(waiting)} waiting)", file=sys.stderr)
        for name, process in list(running.items()):
            if process.poll() is not None:
                del running[name]
                failed += [name] * bool(process.returncode)
        time.sleep(0.2)
    if failed:
        sys.exit(f"{failed} failed; see the logs in {folder}. Call again to continue.")
