"""How many of our files a newcomer follows from ``musiczoo.load`` to a piece, and that the lists in the documentation are true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Modules in which code runs, __init__ files included: 37 and 24 in version 0.1.
MOST = {"bar-stream": 28, "phi3-remi": 20}
# What docs/architecture.md tells a newcomer to open.
READING = {
    "From `load` to `generate`, bar-stream": 11,
    "From `load` to `generate`, phi3-remi": 9,
    "From a folder of scores to a batch": 9,
}


def executed(name: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "tests/way.py"), name],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return {file: ran for file, ran in found.items() if not file.startswith("tests/")}


def reading_list(title: str) -> list[str]:
    text = (ROOT / "docs/architecture.md").read_text().partition("<!-- the way: begin -->")[2]
    section = text.partition(f"### {title}\n")[2].partition("\n#")[0]
    return re.findall(r"^\d+\. `([^`]+)`", section, re.M)


@pytest.mark.parametrize("name", MOST)
def test_few_modules_run_from_load_to_generate(name: str) -> None:
    files = executed(name)
    assert len(files) <= MOST[name], "\n".join(files)
    title = next(title for title in READING if title.endswith(name))
    # Whatever the documentation lists is really on the way.
    assert set(reading_list(title)) <= set(files)


@pytest.mark.parametrize("title", READING)
def test_reading_lists_are_short_and_name_files(title: str) -> None:
    files = reading_list(title)
    assert 3 <= len(files) <= READING[title]
    assert all((ROOT / file).is_file() for file in files), files
