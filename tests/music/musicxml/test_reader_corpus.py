"""Real files of music21's corpus against music21's own parse of them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from musiczoo.music.abc import read_abc, write_abc
from musiczoo.music.musicxml.reader import read_musicxml

music21 = pytest.importorskip("music21")
ROOT = Path(music21.common.getCorpusFilePath())


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The benchmark's way of comparing, so that tests and published figures cannot drift apart."""
    path = Path(__file__).parents[3] / "benchmarks" / "musicxml_reader.py"
    spec = importlib.util.spec_from_file_location("musicxml_reader_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# A pickup with accidentals and ties; repeats; two staves with chords and clef changes; ragtime;
# unpitched notes.
@pytest.mark.parametrize(
    "name",
    [
        "bach/bwv66.6.mxl",
        "bach/bwv1.6.mxl",
        "schoenberg/opus19/movement2.mxl",
        "joplin/maple_leaf_rag.mxl",
        "demos/drum_sample.xml",
    ],
)
def test_notes_are_those_of_music21(name: str, tmp_path: Path, benchmark: ModuleType) -> None:
    row = benchmark.compare(ROOT / name, ROOT, tmp_path)
    assert row["f1"] == 1, row


def test_the_chorale_as_text() -> None:
    # The bars are those that xml2abc, by which the published models' training data were made,
    # writes for this file.
    tune = read_musicxml(ROOT / "bach" / "bwv66.6.mxl")
    text = write_abc(tune)
    assert tune.field("%%") == "score [ 1 | 2 | 3 | 4 ]"
    assert [item.value for item in tune.header if item.name == "V"][
        3
    ] == '4 bass nm="Bass" snm="B."'
    assert [voice.bars[0].text for voice in tune.voices] == ["cB", "E2", "A,B,", "A,G,"]
    assert [voice.bars[1].text for voice in tune.voices] == [
        "A2 B2 !fermata!c2 e2",
        "F2 E2 E2 E2",
        "C2 B,2 A,2 B,2",
        "F,2 G,2 A,2 G,2",
    ]
    assert read_abc(text).notes() == tune.notes()


@pytest.mark.slow
def test_a_sample_of_the_corpus(tmp_path: Path, benchmark: ModuleType) -> None:
    files = [file for file in benchmark.corpus_files() if file.stat().st_size < 400_000][5::16]
    assert len(files) >= 30
    rows = [benchmark.compare(file, ROOT, tmp_path) for file in files]
    assert [row for row in rows if "error" in row] == []
    assert sum(row["f1"] for row in rows) / len(rows) >= 0.99
    assert [row for row in rows if row["f1"] < 0.9] == []


@pytest.mark.slow
def test_every_file_of_the_corpus_becomes_a_well_formed_tune(benchmark: ModuleType) -> None:
    for file in benchmark.corpus_files()[::5]:
        tune = read_musicxml(file)
        spans = [[span.duration for span in voice.bars] for voice in tune.parsed]
        assert len({len(voice.bars) for voice in tune.voices}) == 1, file
        assert all(max(column) - min(column) < 1 / 64 for column in zip(*spans, strict=True)), file
        assert all(duration > 0 for voice in spans for duration in voice), file
        again = read_abc(write_abc(tune))
        assert again.voices == tune.voices, file
