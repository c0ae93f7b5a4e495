"""The sample of two reviewers, and its statistics beside scikit-learn's."""

from __future__ import annotations

import csv
import random
from collections import Counter
from pathlib import Path

import pytest

from musiczoo.llm.audit import acceptance, draw_sample, read_audit, write_sheets
from musiczoo.llm.mined_works import MinedTag, MinedWork
from musiczoo.llm.works_table import WorkRow
from musiczoo.music.errors import MusicZooError


def work(number: int, composer: str, period: str, value: str = "nocturne") -> MinedWork:
    row = WorkRow(f"{number}.mid", f"Title {number}", composer, period)
    tags = {"genre": MinedTag(value, "A quote."), "background": MinedTag("Long.", "Another.")}
    return MinedWork(row, "mined", origin="a.txt", tags=tags)


def many() -> list[MinedWork]:
    works = [work(n, f"R{n % 7}", "Romantic") for n in range(300)]
    works += [work(300 + n, "B0" if n else "B1", "Baroque") for n in range(90)]
    works += [work(390 + n, f"C{n % 3}", "Classical") for n in range(10)]
    works.append(work(400, "Lone", "Medieval"))
    return [*works, MinedWork(WorkRow("none.mid", "x", "y", "Romantic"), "no text")]


def test_samples_are_stratified_by_period_and_composer() -> None:
    sample = draw_sample(many(), 100, seed=1)
    assert len({one.work.midi for one in sample}) == len(sample) == 100
    periods = Counter(one.work.period for one in sample)
    assert periods["Medieval"] == 1
    assert 74 <= periods["Romantic"] <= 75
    assert 22 <= periods["Baroque"] <= 23
    composers = Counter(one.work.composer for one in sample if one.work.period == "Romantic")
    assert max(composers.values()) - min(composers.values()) <= 1
    assert "B1" in {one.work.composer for one in sample}
    assert all(one.tags for one in sample)
    assert sample == draw_sample(many(), 100, seed=1) != draw_sample(many(), 100, seed=2)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 400, 401, 1000])
def test_samples_have_the_size_that_is_asked_for(count: int) -> None:
    assert len(draw_sample(many(), count)) == min(count, 401)
    assert draw_sample([], count) == []


def fill(path: Path, verdict, *, delimiter: str = ",") -> None:
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig", newline="")))
    for row in rows:
        row["verdict"] = verdict(row)
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, rows[0], delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)


def test_sheets_come_back(tmp_path: Path) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    first, second = write_sheets(draw_sample(many(), 40), tmp_path / "audit", seed=3)
    orders = [
        [row["item"] for row in csv.DictReader(path.open(encoding="utf-8-sig"))]
        for path in (first, second)
    ]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    rng = random.Random(0)
    answers: dict[tuple[str, str], list[str]] = {}

    def verdict(row: dict[str, str]) -> str:
        word = rng.choice(["acceptable", "Acceptable ", "a", "yes", "unacceptable"])
        answers.setdefault((row["item"], row["tag"]), []).append(word)
        return word

    fill(first, verdict)
    fill(second, verdict, delimiter=";")
    audit = read_audit(first, second)
    assert (audit.works, audit.open) == (40, 0)
    for group, tags in {"short": ("genre",), "long": ("background",)}.items():
        mine, theirs = zip(
            *(
                [word != "unacceptable" for word in pair]
                for key, pair in answers.items()
                if key[1] in tags
            ),
            strict=True,
        )
        found = audit.groups[group]
        assert found.tags == 40
        assert found.kappa == pytest.approx(sklearn.cohen_kappa_score(mine, theirs))
        assert found.by_reviewer == pytest.approx((sum(mine) / 40, sum(theirs) / 40))
        assert found.accepted == pytest.approx((sum(mine) + sum(theirs)) / 80)
    assert audit.groups["style"].tags == 0
    assert audit.to_json()["groups"]["all"]["tags"] == 80


def test_open_verdicts_are_counted_and_not_used(tmp_path: Path) -> None:
    paths = write_sheets(draw_sample(many(), 10), tmp_path)
    fill(paths[0], lambda row: "a")
    fill(paths[1], lambda row: "u" if row["tag"] == "genre" else "")
    audit = read_audit(*paths)
    assert (audit.open, audit.groups["all"].tags, audit.groups["all"].accepted) == (10, 10, 0.5)


def test_kappa_by_hand() -> None:
    # Cohen's example of 2 x 2: 20 both, 15 neither, 5 and 10 disagree; kappa is 0.4.
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    found = acceptance(pairs)
    assert found.kappa == pytest.approx(0.4)
    assert (found.agreement, found.both) == (0.7, 0.4)
    assert acceptance([(True, True)] * 5).kappa is None
    assert acceptance([]).accepted is None


def test_cells_are_no_formulas_and_sheets_are_not_overwritten(tmp_path: Path) -> None:
    write_sheets([work(1, "x", "y", '=HYPERLINK("http://a")')], tmp_path)
    [row, _] = csv.DictReader((tmp_path / "reviewer_1.csv").open(encoding="utf-8-sig"))
    assert row["value"] == '\'=HYPERLINK("http://a")'
    with pytest.raises(MusicZooError, match="there already"):
        write_sheets([work(1, "x", "y")], tmp_path)
    with pytest.raises(MusicZooError, match="No work has a tag"):
        write_sheets([], tmp_path / "other")


def test_bad_sheets_are_errors(tmp_path: Path) -> None:
    paths = write_sheets(draw_sample(many(), 5), tmp_path)
    fill(paths[0], lambda row: "maybe")
    with pytest.raises(MusicZooError, match="'maybe' is no verdict") as error:
        read_audit(*paths)
    assert error.value.where == "line 2"
    fill(paths[0], lambda row: "a")
    other = write_sheets(draw_sample(many(), 6), tmp_path / "other")
    with pytest.raises(MusicZooError, match="same sample"):
        read_audit(paths[0], other[1])
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MusicZooError, match="no column item, tag, verdict"):
        read_audit(paths[0], tmp_path / "bad.csv")
    with pytest.raises(MusicZooError, match="cannot be read"):
        read_audit(tmp_path / "none.csv", paths[1])
