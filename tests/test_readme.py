"""What the README shows runs as it stands there."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCS = sorted((ROOT / "docs").glob("*.md"))


def write_scores(folder: Path, count: int) -> None:
    """Tunes of one and of two voices that are no near-duplicates of each other."""
    folder.mkdir()
    for number in range(count):
        notes = random.Random(number)

        def bar(notes: random.Random = notes) -> str:
            return " ".join(notes.choice("CDEFGAB") + "2" for _ in range(4))

        header = (
            f"X:{number}\nT:Tune {number}\nM:4/4\nL:1/8\nK:{notes.choice(['C', 'G', 'F', 'Dm'])}\n"
        )
        voices = "".join(
            f"V:{voice}\n" + " | ".join(bar() for _ in range(6)) + " |]\n"
            for voice in range(1, 2 + number % 2)
        )
        (folder / f"tune{number}.abc").write_text(header + voices)


def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.findall(r"```python\n(.*?)```", README, re.S)[0]
    assert len([line for line in example.splitlines() if line]) == 10
    monkeypatch.chdir(tmp_path)
    write_scores(tmp_path / "my_scores", 20)
    # Two steps instead of eight epochs.
    for name, value in {
        "MAX_STEPS": "2",
        "LOGGER": "False",
        "ENABLE_PROGRESS_BAR": "False",
        "ENABLE_CHECKPOINTING": "False",
    }.items():
        monkeypatch.setenv(f"PL_TRAINER_{name}", value)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert (tmp_path / "new.musicxml").stat().st_size > 0


def test_first_screen_shows_what_it_is_a_picture_the_commands_and_python() -> None:
    screen = README.splitlines()[:35]
    assert any(line.startswith("![") for line in screen)
    assert any(line.startswith("make demo") for line in screen)
    assert any(line.startswith("make test") for line in screen)
    assert "```python" in screen


def test_cells_of_tables_are_short() -> None:
    rows = [line for line in README.splitlines() if line.startswith("|")]
    cells = [cell.strip() for row in rows for cell in row.strip("|").split("|")]
    assert rows
    assert max(map(len, cells)) <= 40


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS], ids=str)
def test_files_and_recipes_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"--config ([a-z]\w+/[\w.]+)", text):
        assert (ROOT / f"configs/{name}.yaml").is_file(), name
    for path in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
        assert (page.parent / path).exists(), path


def test_citation_is_complete() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "The musiczoo authors"}]
    assert {"message", "title", "type", "license"} <= set(citation)
