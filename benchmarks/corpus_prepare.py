"""Reads a folder twice, once killed on the way, and compares the two caches.

The killed run is killed two times and started again. The report counts what became of every file.
The folder is music21's whole corpus if none is given; that takes some half an hour of one core.
``SIGKILL`` hits the reading process; with ``--workers 1`` there is no other.

    python -m benchmarks.corpus_prepare [FOLDER] [--workers 1] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from musiczoo.music.corpora.built_in import music21_corpus

KILLS = 2
PROGRAM = "import sys; from musiczoo.commands.corpus import run; run(sys.argv[1:])"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="music21's corpus if not given")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    folder = options.folder or music21_corpus()
    on_disk = sum(path.is_file() for path in folder.rglob("*"))
    with tempfile.TemporaryDirectory() as scratch:
        killed, undisturbed = Path(scratch, "killed"), Path(scratch, "undisturbed")
        kills = [
            kill_after(folder, killed, options.workers, (kill + 1) / (KILLS + 1), on_disk)
            for kill in range(KILLS)
        ]
        prepare(folder, killed, options.workers)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        account = prepare(folder, undisturbed, options.workers)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        files = [sorted(cache.rglob("*")) for cache in (killed, undisturbed)]
        tables = [[path for path in found if path.suffix == ".parquet"] for found in files]
        figures = {
            "folder": "music21's corpus" if options.folder is None else str(folder),
            "files_on_disk": on_disk,
            "kills": kills,
            "same_bytes": (
                [path.read_bytes() for path in tables[0]]
                == [path.read_bytes() for path in tables[1]]
            ),
            "tables": [len(found) for found in tables],
            "left_in_cache": sorted({path.suffix for path in files[0] if path.is_file()}),
            "wall_seconds": round(wall, 1),
            "cpu_seconds": round(
                after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1
            ),
            "table_bytes": tables[1][0].stat().st_size,
            "workers": options.workers,
            **{
                name: account[name]
                for name in (
                    "files",
                    "read",
                    "skipped",
                    "left_out",
                    "works",
                    "clusters",
                    "tunes_skipped",
                    "reasons",
                )
            },
        }
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def command(folder: Path, cache: Path, workers: int) -> list[str]:
    words = [
        "prepare",
        str(folder),
        "--recipe",
        "none",
        "--cache",
        str(cache),
        "--workers",
        str(workers),
        "--json",
    ]
    return [sys.executable, "-c", PROGRAM, *words]


def prepare(folder: Path, cache: Path, workers: int) -> dict[str, object]:
    done = subprocess.run(
        command(folder, cache, workers), stdout=subprocess.PIPE, text=True, check=True
    )
    account: dict[str, object] = json.loads(done.stdout)
    return account


def kill_after(
    folder: Path, cache: Path, workers: int, share: float, files: int
) -> dict[str, object]:
    """Starts the reading and kills it when a share of the corpus is in the cache."""
    process = subprocess.Popen(command(folder, cache, workers), stdout=subprocess.DEVNULL)
    start = time.perf_counter()
    while process.poll() is None:
        chunks = len(list(cache.rglob("*.parts/*.parquet")))
        if chunks * 16 >= share * files:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return {
                "chunks_done": chunks,
                "seconds": round(time.perf_counter() - start, 1),
                "exit": process.returncode,
            }
        time.sleep(0.05)
    raise SystemExit(
        f"The reading ended by itself (exit {process.returncode}) before it could be killed."
    )


if __name__ == "__main__":
    main()
