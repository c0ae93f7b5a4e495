"""The sheet's script: its logic in a JavaScript engine, its page for syntax (a browser is not among the tests' tools)."""

from __future__ import annotations

import json
from importlib import resources

import pytest
import quickjs

from .conftest import sheet_script

STUDY = {
    "study": "abc",
    "participant": "P01",
    "kind": "ab",
    "values": ["A", "none", "B"],
    "aspects": [{"name": "x", "question": "?"}, {"name": "y", "question": "?"}],
    "trials": [{"id": "t1"}, {"id": "t2"}, {"id": "t3"}],
}


@pytest.fixture
def script() -> quickjs.Context:
    return sheet_script(STUDY)


def test_answers_and_what_is_open(script: quickjs.Context) -> None:
    assert json.loads(script.eval("JSON.stringify(Sheet.openTrials(study, state))")) == [1, 2, 3]
    script.eval("state = Sheet.choose(study, state, 't2', 'x', 'B')")
    assert script.eval("Sheet.status(study, state, 't2')") == "part"
    script.eval(
        "state = Sheet.choose(study, state, 't2', 'y', 'none'); state = Sheet.choose(study, state, 't2', 'x', 'A')"
    )
    assert script.eval("Sheet.status(study, state, 't2')") == "done"
    assert json.loads(script.eval("JSON.stringify(Sheet.openTrials(study, state))")) == [1, 3]
    assert json.loads(script.eval("JSON.stringify(Sheet.openAspects(study, state, 't1'))")) == [
        "x",
        "y",
    ]


@pytest.mark.parametrize(
    "words",
    ["'t9', 'x', 'A'", "'t1', 'z', 'A'", "'t1', 'x', 'C'", "'t1', 'x', 7", "'__proto__', 'x', 'A'"],
)
def test_what_a_sheet_does_not_ask_is_no_answer(script: quickjs.Context, words: str) -> None:
    with pytest.raises(quickjs.JSException):
        script.eval(f"Sheet.choose(study, state, {words})")


def test_export_and_restore_are_inverse(script: quickjs.Context) -> None:
    script.eval(
        """state = Sheet.choose(study, state, 't1', 'x', 'B'); state = Sheet.played(state, 't1', 'A'); state = Sheet.played(state, 't1', 'A');
        state = Sheet.spent(state, 't1', 1.25); state = Sheet.comment(state, 't3', 'line\\n"quoted" \u00e4');"""
    )
    text = str(script.eval("Sheet.exported(study, state, '2026-01-01T00:00:00Z')"))
    document = json.loads(text)
    assert document == {
        "format": "musiczoo-study-answers",
        "version": 1,
        "study": "abc",
        "participant": "P01",
        "exported": "2026-01-01T00:00:00Z",
        "answers": {
            "t1": {"values": {"x": "B"}, "plays": {"A": 2}, "seconds": 1.3, "comment": ""},
            "t3": {"values": {}, "plays": {}, "seconds": 0, "comment": 'line\n"quoted" \u00e4'},
        },
    }
    script.set("text", text)
    assert (
        script.eval("Sheet.exported(study, Sheet.restored(study, text), '2026-01-01T00:00:00Z')")
        == text
    )
    assert script.eval("Sheet.fileName(study)") == "answers-P01-abc.json"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "damaged"),
        ({"format": "something"}, "no answers of such a sheet"),
        ({"answers": None}, "no answers of such a sheet"),
        ({"study": "xyz"}, "another sheet"),
        ({"participant": "P02"}, "another sheet"),
    ],
)
def test_foreign_and_damaged_answers_are_not_restored(
    script: quickjs.Context, change: dict[str, object] | None, said: str
) -> None:
    document = json.loads(str(script.eval("Sheet.exported(study, state, '')")))
    script.set("text", "{" if change is None else json.dumps({**document, **change}))
    with pytest.raises(quickjs.JSException, match=said):
        script.eval("Sheet.restored(study, text)")


def test_restoring_keeps_what_the_sheet_could_have_written(script: quickjs.Context) -> None:
    document = json.loads(str(script.eval("Sheet.exported(study, state, '')")))
    document["answers"] = {
        "t1": {"values": {"x": "Q", "y": "A", "z": "A"}},
        "t9": {"values": {"x": "A"}},
        "t2": None,
    }
    script.set("text", json.dumps(document))
    restored = json.loads(script.eval("JSON.stringify(Sheet.restored(study, text).answers)"))
    assert restored == {"t1": {"values": {"y": "A"}, "plays": {}, "seconds": 0, "comment": ""}}


def test_the_page_is_a_program() -> None:
    page = resources.files("musiczoo.studies").joinpath("sheet/page.js").read_text()
    context = quickjs.Context()
    context.eval(f"(() => {{ {page} }})")  # compiled, not run: there is no page
    with pytest.raises(quickjs.JSException):
        context.eval(f"(() => {{ {page} ) }})")
    assert "fetch" not in page
    assert "XMLHttpRequest" not in page
