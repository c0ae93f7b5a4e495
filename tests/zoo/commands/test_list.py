"""The command list: one screen for all models, all about one of them, and JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from musiczoo.cli import main, usage
from musiczoo.hub.registry import list_models


def test_all_models_stand_in_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main(["list"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= len(list_models()) + 4
    assert max(map(len, lines)) <= 80
    # Nothing is cut.
    assert "…" not in "".join(lines)
    for row in list_models():
        [line] = [line for line in lines if line.split()[:1] == [row.name]]
        assert ("included" in line) == (row.folder is not None)
        assert ("Hub" in line) == (row.repository is not None)
    [line] = [line for line in lines if line.startswith("notagen-large ")]
    assert line.split()[1:4] == ["notation", "516", "M"]


@pytest.mark.parametrize("name", ["bar-stream", "phi3-remi", "m3-small", "smart", "notagen"])
def test_all_about_one_model(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main(["list", name])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    main(["list", name, "--json"])
    found = json.loads(capsys.readouterr().out)
    words = " ".join(shown.split())
    for key in ("summary", "licence", "origin", "where", "load"):
        assert found[key] in words, key
    for capability in found["capabilities"]:
        assert capability in words
    for kind in found["prompts"]:
        assert kind in words


def test_what_architectures_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == [row.name for row in list_models()]
    # The keys of 0.1.
    for row in rows.values():
        assert {"name", "summary", "parameters", "licence", "origin", "where"} <= set(row)
    scores, performances, encoder = (rows[name] for name in ("bar-stream", "phi3-remi", "m3-small"))
    assert (scores["writes"], scores["prompts"]) == ("notation", ["labels", "text"])
    assert "continues pieces" in scores["capabilities"]
    assert (performances["writes"], performances["length_unit"]) == ("performance", "token")
    assert "gives log-probabilities" in performances["capabilities"]
    assert "continues pieces" not in performances["capabilities"]
    assert (encoder["writes"], encoder["prompts"]) == (None, [])
    assert encoder["capabilities"] == ["gives features of pieces"]
    assert rows["notagen"]["load"] == 'musiczoo.load("notagen", weights="PATH")'


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["list", "bar-steam"])
    assert stopped.value.code == 1
    assert "Did you mean bar-stream" in capsys.readouterr().err


def test_the_list_needs_no_torch() -> None:
    program = (
        "import sys; from musiczoo.cli import main; main(['list']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_usage_fits_80_columns() -> None:
    assert max(map(len, usage().splitlines())) <= 80
