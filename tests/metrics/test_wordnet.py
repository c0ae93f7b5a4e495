"""The reader of WordNet's files beside NLTK's own, on a folder of a few words."""

from __future__ import annotations

from pathlib import Path

import nltk.corpus
import nltk.data
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.corpus.util import LazyCorpusLoader

from musiczoo.metrics import Meteor, wordnet
from musiczoo.metrics.wordnet import WordNetFolder, system_wordnet
from musiczoo.music.errors import MusicZooError

LICENCE = "  1 WordNet 3.0 Copyright 2006 by Princeton University.\n"
SETS = {
    "noun": [["tune", "melody", "air", "melodic_line"], ["air"], ["goose"], ["wife", "woman"]],
    "verb": [["tune", "tune_up"], ["waltz", "waltz_around"]],
    "adj": [["sorrowful", "Gloomy(a)"], ["sad"]],
    "adv": [["slowly", "easy"]],
}
LETTERS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
EXCEPTIONS = {"noun": "geese goose\n", "verb": "", "adj": "sadder sad\n", "adv": ""}
WORDS = [
    "tune",
    "tunes",
    "Tuned",
    "tuning",
    "air",
    "geese",
    "wives",
    "women",
    "waltz",
    "waltzing",
    "sorrowful",
    "gloomy",
    "sadder",
    "slowly",
    "reel",
]


def folder_of_wordnet(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for part, sets in SETS.items():
        data, places = LICENCE, {}
        for words in sets:
            listed = " ".join(f"{word} 0" for word in words)
            for word in words:
                places.setdefault(word.partition("(")[0].lower(), []).append(len(data))
            data += f"{len(data):08d} 00 {LETTERS[part]} {len(words):02x} {listed} 000 | a gloss\n"
        index = "".join(
            f"{word} {LETTERS[part]} {len(found)} 0 {len(found)} 0 {' '.join(f'{one:08d}' for one in found)}  \n"
            for word, found in sorted(places.items())
        )
        (folder / f"data.{part}").write_text(data)
        (folder / f"index.{part}").write_text(LICENCE + index)
        (folder / f"{part}.exc").write_text(EXCEPTIONS[part])
    return folder


@pytest.fixture
def without_data(monkeypatch, tmp_path):
    """A machine whose NLTK has no WordNet yet, looking into one folder."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    fresh = LazyCorpusLoader("wordnet", WordNetCorpusReader, None)
    monkeypatch.setattr(nltk.corpus, "wordnet", fresh)
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "debian")
    return tmp_path


def words_of(thesaurus, word: str) -> list[list[str]]:
    return sorted([lemma.name() for lemma in one.lemmas()] for one in thesaurus.synsets(word))


@pytest.mark.filterwarnings("ignore:The multilingual functions")
def test_sets_of_synonyms_are_those_of_nltks_reader(without_data):
    folder = folder_of_wordnet(without_data / "corpora" / "wordnet")
    (folder / "lexnames").write_text("00\tadj.all\t3\n")
    (folder / "index.sense").write_text("")
    theirs, source = system_wordnet()
    assert isinstance(theirs, WordNetCorpusReader)
    assert source == "WordNet 3.0 of NLTK's data"
    ours = WordNetFolder(folder)
    for word in WORDS:
        assert words_of(ours, word) == words_of(theirs, word), word
    assert words_of(ours, "tuning") == [["tune", "tune_up"]]
    assert words_of(ours, "reel") == []
    # "wives" is no exception of this folder, and no ending leads to "wife".
    assert {word for word in WORDS if not words_of(ours, word)} == {"wives", "reel"}


def test_debians_package_is_found(without_data):
    assert system_wordnet() is None
    folder_of_wordnet(without_data / "debian")
    metric = Meteor(wordnet=True)
    metric.update(["a slow tune"], ["a slow air"])
    # Three words in one run match, the third as a synonym.
    assert metric.compute().item() == pytest.approx(1 - 0.5 / 3**3)
    assert metric.record.variant == "exact, stem, WordNet"
    assert "debian" in metric.record.settings
    plain = Meteor(wordnet=False)
    plain.update(["a slow tune"], ["a slow air"])
    assert plain.compute().item() == pytest.approx((1 - 0.5 / 2**3) * 2 / 3)


def test_incomplete_and_wrong_files_are_errors(without_data):
    folder = folder_of_wordnet(without_data / "debian")
    (folder / "noun.exc").unlink()
    with pytest.raises(MusicZooError, match=r"noun\.exc.*cannot be read"):
        Meteor()
    (folder / "noun.exc").write_text("")
    (folder / "data.verb").write_text(LICENCE * 9)
    with pytest.raises(MusicZooError, match=r"data\.verb.*no set of synonyms"):
        WordNetFolder(folder).synsets("waltz")
