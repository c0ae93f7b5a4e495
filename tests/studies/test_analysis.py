"""From sheets to results: what raters mean is found, what they do not mean is not, and no answer is lost silently."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import html
from scipy.stats import binomtest

from musiczoo.music.errors import MusicZooError
from musiczoo.studies import analyse, analysis_picture, make_study, read_captions, read_pieces
from musiczoo.studies.answers import read_answers
from musiczoo.studies.design import Aspect, Trial
from musiczoo.studies.key import Key
from musiczoo.studies.making import Made
from musiczoo.studies.report import answers_table, report_page, tables

from .conftest import Choice, fill_in, write_systems


def preferring(system: str | None, probability: float, seed: int = 0) -> Choice:
    """A rater who chooses a system with this probability, has no preference now and then, and else chooses the other."""
    rng = random.Random(seed)

    def choose(participant: str, item: str, systems: list[str], aspect: str) -> str:
        if rng.random() < 0.1:
            return "none"
        wanted = system or systems[0]
        return (
            "AB"[systems.index(wanted)]
            if rng.random() < probability
            else "AB"[1 - systems.index(wanted)]
        )

    return choose


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("study")
    folders = write_systems(root, ("x1", "y1"), 16)
    (root / "labels.csv").write_text(
        "item,meter\n"
        + "".join(f"piece-{number},{'odd' if number % 2 else 'even'}\n" for number in range(16))
    )
    return make_study(
        "ab",
        read_pieces(folders, labels=root / "labels.csv"),
        5,
        root / "study",
        seed=1,
        sound=False,
    )


def answered(made: Made, folder: Path, choose: Choice) -> Path:
    for sheet in made.sheets:
        fill_in(sheet, made.key_path, folder, choose)
    return folder


def test_a_planted_preference_is_found_on_the_right_side(study: Made, tmp_path: Path) -> None:
    result = analyse(study.key_path, [answered(study, tmp_path, preferring("y1", 0.85))])
    [preference] = result.preferences
    assert (preference.first, preference.second, preference.items) == ("x1", "y1", 16)
    assert preference.losses > 12
    assert preference.test.p_value == pytest.approx(
        binomtest(preference.wins, preference.wins + preference.losses).pvalue
    )
    assert preference.p_holm == preference.test.p_value < 0.001
    assert sum(preference.votes) == result.judgements == 80
    assert not result.problems
    for outcomes in preference.by_label.values():
        assert [sum(counts) for counts in zip(*outcomes.values(), strict=True)] == [
            preference.wins,
            preference.ties,
            preference.losses,
        ]
    # The sides are balanced, so that a preference for a system is none for a side.
    assert 25 < result.sides[0] < 48


def test_no_preference_is_found_where_there_is_none(study: Made, tmp_path: Path) -> None:
    p_values = []
    for seed in range(4):
        answered(study, tmp_path / str(seed), preferring("x1", 0.5, seed))
        p_values.append(analyse(study.key_path, [tmp_path / str(seed)]).preferences[0].test.p_value)
    assert min(p_values) > 0.05
    assert max(p_values) > 0.3


def test_a_rater_of_sides_prefers_no_system(study: Made, tmp_path: Path) -> None:
    result = analyse(study.key_path, [answered(study, tmp_path, lambda *_: "A")])
    assert result.sides == (80, 0, 0)
    assert result.preferences[0].votes == (40, 0, 40)
    assert result.preferences[0].test.p_value > 0.4


def test_votes_are_counted_as_by_hand(study: Made, tmp_path: Path) -> None:
    # Item 0: 3 to 2; item 1: 2 to 2, one undecided; item 2: nobody decides; the others: all for y1.
    plan = {
        "piece-0": ["x1"] * 3 + ["y1"] * 2,
        "piece-1": ["x1", "x1", "y1", "y1", "none"],
        "piece-2": ["none"] * 5,
    }

    def choose(participant: str, item: str, systems: list[str], aspect: str) -> str:
        wanted = plan.get(item, ["y1"] * 5)[int(participant[1:]) - 1]
        return "none" if wanted == "none" else "AB"[systems.index(wanted)]

    [row] = analyse(study.key_path, [answered(study, tmp_path, choose)]).preferences
    assert (row.wins, row.ties, row.losses) == (1, 2, 13)
    assert row.votes == (5, 6, 69)
    assert row.test.p_value == pytest.approx(2 * (1 + 14) / 2**14)
    assert row.by_label == {"meter": {"even": (1, 1, 6), "odd": (0, 1, 7)}}


def test_five_dimensions_of_captions(tmp_path: Path) -> None:
    folders = write_systems(tmp_path, ("clips",), 14)
    rows = [
        f"piece-{n},{s},Caption {n} {w}"
        for n in range(14)
        for s, w in (("gpt", "one"), ("llama", "two"))
    ]
    (tmp_path / "captions.csv").write_text("\n".join(["item,system,caption", *rows]))
    made = make_study(
        "captions",
        read_captions(folders["clips"], tmp_path / "captions.csv"),
        3,
        tmp_path / "study",
        sound=False,
        seed=0,
    )
    good, even = preferring("llama", 0.95), preferring("llama", 0.5)

    def choose(*words):
        return (even if words[3] == "text fluency" else good)(*words)

    result = analyse(made.key_path, [answered(made, tmp_path / "answers", choose)])
    assert [row.aspect for row in result.preferences] == [
        aspect.name for aspect in made.key.aspects
    ]
    by_aspect = {row.aspect: row for row in result.preferences}
    assert by_aspect["text fluency"].p_holm > 0.05
    for aspect in (
        "music understanding accuracy",
        "creativity",
        "musical emotion understanding",
        "overall preference",
    ):
        assert by_aspect[aspect].losses > by_aspect[aspect].wins
        assert by_aspect[aspect].test.p_value < by_aspect[aspect].p_holm < 0.05


@pytest.mark.parametrize(("effect", "found"), [(2.0, True), (0.0, False)])
def test_ratings(tmp_path: Path, effect: float, found: bool) -> None:
    folders = write_systems(tmp_path, ("x1", "y1"), 6)
    made = make_study("rating", read_pieces(folders), 6, tmp_path / "study", sound=False, seed=2)
    rng = random.Random(7)
    levels = {f"P{number:02d}": rng.gauss(5, 1) for number in range(1, 7)}

    def choose(participant: str, item: str, systems: list[str], aspect: str) -> int:
        return min(
            10, max(1, round(rng.gauss(levels[participant] + effect * (systems[0] == "y1"), 1.2)))
        )

    result = analyse(made.key_path, [answered(made, tmp_path / "answers", choose)])
    [rating] = result.ratings
    assert [system.system for system in rating.systems] == ["x1", "y1"]
    assert [sum(system.histogram) for system in rating.systems] == [36, 36]
    assert rating.model is not None
    [row] = rating.model.effects
    assert row.estimate == pytest.approx(rating.systems[1].mean - rating.systems[0].mean, abs=1e-3)
    assert (row.p_value < 0.01) == found
    assert row.low <= effect <= row.high
    assert rating.p_holm == (pytest.approx(row.p_value),)
    picture = analysis_picture(result, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes() == picture
    assert picture.startswith(b"\x89PNG")
    assert f"{row.estimate:+.2f}" in json.dumps([table.rows for table in tables(result)])


def test_every_answer_that_is_not_used_is_named(study: Made, tmp_path: Path) -> None:
    choose = preferring("y1", 0.9)
    # P01: exported twice; P02: its file was cut off; P03: not finished, one answer spoiled; P04: of
    # another study; P05: nothing came.
    early = fill_in(study.sheets[0], study.key_path, tmp_path / "early", choose, first=3)
    fill_in(
        study.sheets[0],
        study.key_path,
        tmp_path / "late",
        choose,
        exported="2026-01-02T00:00:00.000Z",
    )
    cut = fill_in(study.sheets[1], study.key_path, tmp_path, choose)
    cut.write_text(cut.read_text()[:-200])
    partly = fill_in(study.sheets[2], study.key_path, tmp_path, choose, first=10)
    document = json.loads(partly.read_text())
    first, second, third = list(document["answers"])[:3]
    document["answers"][first]["values"]["musicality"] = "C"
    document["answers"][second]["values"]["musicality"] = True
    document["answers"][third] = 7
    document["answers"]["000000000000"] = {"values": {"musicality": "A"}}
    partly.write_text(json.dumps(document))
    other = fill_in(study.sheets[3], study.key_path, tmp_path, choose)
    other.write_text(other.read_text().replace(study.key.study, "ffffffff"))
    (tmp_path / "readme.txt").write_text("Thanks!")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "twice.json").write_text('{"format": "musiczoo-study-answers", "format": "x"}')

    result = analyse(study.key_path, [tmp_path])
    found = sorted(
        (problem.kind, Path(problem.where).name, problem.count) for problem in result.problems
    )
    assert found == sorted(
        [
            ("duplicate", early.name, 3),
            ("damaged", cut.name, 0),
            ("missing", "P02", 16),
            ("incomplete", partly.name, 6),
            ("damaged", partly.name, 3),
            ("foreign", partly.name, 1),
            ("foreign", other.name, 16),
            ("missing", "P04", 16),
            ("missing", "P05", 16),
            ("damaged", "readme.txt", 0),
            ("foreign", "list.json", 0),
            ("damaged", "twice.json", 0),
        ]
    )
    assert all(problem.reason for problem in result.problems)
    assert result.participants == ("P01", "P03")
    assert result.judgements == 16 + 7
    assert "C" not in {row.value for row in result.table}
    shown = tables(result)[-1]
    assert len(shown.rows) == 12


def test_nothing_that_can_be_used(study: Made, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(MusicZooError, match="not one answer"):
        analyse(study.key_path, [tmp_path])
    with pytest.raises(MusicZooError, match="no such file"):
        analyse(study.key_path, [tmp_path / "nowhere"])
    with pytest.raises(MusicZooError, match="no key of a study"):
        analyse(tmp_path / "a.json", [tmp_path])
    with pytest.raises(MusicZooError, match="cannot be read"):
        analyse(tmp_path / "b.json", [tmp_path])
    key = json.loads(study.key_path.read_text())
    del key["participants"]
    (tmp_path / "key.json").write_text(json.dumps(key))
    with pytest.raises(MusicZooError, match="damaged"):
        analyse(tmp_path / "key.json", [tmp_path])


def test_report_and_tables_say_the_same(study: Made, tmp_path: Path) -> None:
    result = analyse(study.key_path, [answered(study, tmp_path, preferring("y1", 0.8))])
    page = html.document_fromstring(report_page(result, analysis_picture(result)))
    text = page.text_content()
    [row] = result.preferences
    assert f"{row.votes[0]}/{row.votes[1]}/{row.votes[2]}" in text
    assert "x1 against y1" in text
    assert page.xpath("//img/@src")[0].startswith("data:image/png;base64,")
    rows = list(csv.DictReader(io.StringIO(answers_table(result))))
    assert len(rows) == 80
    assert sum(line["value"] == "y1" for line in rows) == row.votes[2]
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert document["preferences"][0]["losses"] == row.losses


def test_answers_without_listening_are_counted(tmp_path: Path) -> None:
    folders = write_systems(tmp_path, ("x1", "y1"), 2)
    made = make_study("ab", read_pieces(folders), 1, tmp_path / "study", sound=False, seed=0)
    made.key.record["sound"] = True
    path = fill_in(made.sheets[0], made.key_path, tmp_path / "answers", preferring("x1", 1.0))
    assert analyse(made.key, [path]).unheard == 0
    document = json.loads(path.read_text())
    next(iter(document["answers"].values()))["plays"] = {"A": 3}
    path.write_text(json.dumps(document))
    assert analyse(made.key, [path]).unheard == 1
    assert [row.listened for row in read_answers(made.key, [path]).judgements].count(False) == 1


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from musiczoo.studies import anonymous, ratings, statistics

    calls: list[tuple[str, Callable[[], object]]] = [
        ("scipy.stats", lambda: statistics.binomial(1, 2)),
        ("statsmodels.stats.multitest", lambda: statistics.holm([0.1])),
        (
            "statsmodels.regression.mixed_linear_model",
            lambda: ratings.fit_ratings([("P1", "a", 1.0)], "ab"),
        ),
        ("soundfile", lambda: anonymous.sound_of(None)),  # type: ignore[arg-type]
    ]
    for name, call in calls:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(MusicZooError, match=r"pip install 'musiczoo\[study\]'"):
                call()


def test_a_rating_is_a_whole_number_from_one_to_ten(tmp_path: Path) -> None:
    values = [1, 10, True, 1.0, 0, 11, "5", None, [3]]
    key = Key(
        "s",
        "rating",
        0,
        ("x", "y"),
        (Aspect("a", "?"),),
        {"P01": [Trial(f"t{n}", f"i{n}", ("x",)) for n in range(len(values))]},
    )
    content = {
        "format": "musiczoo-study-answers",
        "version": 1,
        "study": "s",
        "participant": "P01",
        "exported": "",
    }
    answers = {f"t{n}": {"values": {"a": value}} for n, value in enumerate(values)}
    (tmp_path / "P01.json").write_text(json.dumps({**content, "answers": answers}))
    read = read_answers(key, [tmp_path])
    assert [row.value for row in read.judgements] == [1, 10]
    assert [(problem.kind, problem.count) for problem in read.problems] == [("damaged", 7)]
