"""Tasks in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from experiments._processes import run_side_by_side


def test_each_task_has_its_words_and_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["program"])
    # A module of the standard library that prints what it is given.
    tasks = {"good": ["-h"], "bad": ["--no-such-option"]}
    with pytest.raises(SystemExit, match=r"\['bad'\] failed"):
        run_side_by_side("json.tool", tasks, tmp_path, 1)
    assert "usage" in (tmp_path / "good.log").read_text()
    assert "no-such-option" in (tmp_path / "bad.log").read_text()
    assert "good  (1 waiting)" in capsys.readouterr().err
