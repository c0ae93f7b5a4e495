"""Small studies, and raters who fill in their sheets with the sheet's own script."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import quickjs

Choice = Callable[[str, str, list[str], str], str | int]
LOGIC = resources.files("musiczoo.studies").joinpath("sheet/logic.js").read_text()


def tune(seed: int, title: str = "", voice: str = "", bars: int = 2) -> str:
    rng = random.Random(seed)
    body = "|".join("".join(rng.choice("CDEFGAB") + "2" for _ in range(4)) for _ in range(bars))
    return f'X:1\nT:{title or "Tune"}\nC:{title or "Somebody"}\nN:{title}\n%{title}\n%%text {title}\nM:4/4\nL:1/8\nQ:1/4=240\nV:1 treble nm="{voice}"\nK:C\n{body}|]\n'


def write_systems(root: Path, systems: tuple[str, ...], items: int) -> dict[str, Path]:
    for number, system in enumerate(systems):
        (root / system).mkdir(parents=True)
        for item in range(items):
            (root / system / f"piece-{item}.abc").write_text(tune(1000 * number + item))
    return {system: root / system for system in systems}


def sheet_data(path: Path) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="study">(.*?)</script>', path.read_text(), re.S
    )
    assert found
    return dict(json.loads(found[1]))


def sheet_script(data: dict[str, Any]) -> quickjs.Context:
    """A JavaScript engine with the sheet's logic, its study and an empty state."""
    context = quickjs.Context()
    context.eval(LOGIC.replace("const Sheet", "globalThis.Sheet"))
    context.set("data", json.dumps(data))
    context.eval("globalThis.study = JSON.parse(data); globalThis.state = Sheet.emptyState();")
    return context


def fill_in(
    sheet: Path,
    key: Path,
    folder: Path,
    choose: Choice,
    exported: str = "2026-01-01T00:00:00.000Z",
    first: int | None = None,
) -> Path:
    """Answer a sheet (its first pages) as ``choose(participant, item, systems, aspect)`` says, with the sheet's script."""
    data = sheet_data(sheet)
    trials = {
        row["id"]: row for row in json.loads(key.read_text())["participants"][data["participant"]]
    }
    context = sheet_script(data)
    for row in data["trials"][:first]:
        for aspect in data["aspects"]:
            value = choose(
                data["participant"],
                trials[row["id"]]["item"],
                trials[row["id"]]["systems"],
                aspect["name"],
            )
            context.eval(
                f"state = Sheet.choose(study, state, {json.dumps(row['id'])}, {json.dumps(aspect['name'])}, {json.dumps(value)})"
            )
        for side in data["sides"]:
            context.eval(
                f"state = Sheet.played(state, {json.dumps(row['id'])}, {json.dumps(side)})"
            )
        context.eval(f"state = Sheet.spent(state, {json.dumps(row['id'])}, 20)")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / str(context.eval("Sheet.fileName(study)"))
    path.write_text(str(context.eval(f"Sheet.exported(study, state, {json.dumps(exported)})")))
    return path


@pytest.fixture(scope="session")
def rate() -> Callable[..., Path]:
    return fill_in
