"""Prompts of REMI tokens: the kinds of token, the spread, and the openings of real pieces."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from musiczoo.callbacks.prompts.remi import CorpusPrompts, ProceduralPrompts
from musiczoo.datamodules.midi import MidiDataModule
from musiczoo.models.phi3_remi import RemiGrammar
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.remi import Remi
from tests.representations.test_remi import pieces


@pytest.mark.parametrize(
    ("variant", "kinds"),
    [
        ("note", ["Bar", "TimeSig", "Position", "Tempo", "Pitch", "Velocity", "Duration"]),
        ("bare", ["Bar", "TimeSig", "Position", "Tempo"]),
        ("nothing", ["BOS"]),
    ],
)
def test_procedural(variant: Any, kinds: list[str]) -> None:
    source = ProceduralPrompts(variant)
    drawn = source.draw(2000, random.Random(1))
    texts = [source.representation.text(ids).split() for ids in drawn]
    assert all([name.partition("_")[0] for name in text] == kinds for text in texts)
    assert [ids.tolist() for ids in source.draw(5, random.Random(1))] == [
        ids.tolist() for ids in drawn[:5]
    ]
    for place, kind in enumerate(kinds):
        seen = Counter(text[place] for text in texts)
        if kind in ("Bar", "Position", "BOS"):
            assert len(seen) == 1
        else:
            # Uniform: every token of the kind comes, none much more often than the others.
            count = len(source.representation.of_type(kind))
            assert len(seen) == count
            assert max(seen.values()) < 3 * 2000 / count


def test_programs_stand_before_the_note() -> None:
    source = ProceduralPrompts("note", Remi.plus())
    [ids] = source.draw(1, random.Random(0))
    assert [name.partition("_")[0] for name in source.representation.text(ids).split()][4:6] == [
        "Program",
        "Pitch",
    ]


def test_openings_of_real_pieces_are_their_meters_and_tempos() -> None:
    tokens = Remi.smart()
    data = MidiDataModule(
        pieces(),
        tokens,
        programs=None,
        max_empty_bars=1.0,
        val_fraction=0.0,
        test_fraction=0.0,
        progress=False,
    )
    source = CorpusPrompts(data)
    texts = {tokens.text(ids) for ids in source.draw(100, random.Random(0))}
    assert texts == {
        "Bar_None TimeSig_4/4 Position_0 Tempo_120.0",
        "Bar_None TimeSig_3/4 Position_0 Tempo_120.0",
        "Bar_None TimeSig_6/8 Position_0 Tempo_90.0",
    }


def test_prompts_are_grammatical() -> None:
    tokens = Remi.smart()
    grammar = RemiGrammar(tokens)
    for ids in ProceduralPrompts("note").draw(50, random.Random(3)):
        for place in range(1, len(ids)):
            assert grammar.follows[ids[place - 1], ids[place]]


def test_bad_settings() -> None:
    with pytest.raises(MusicZooError, match="no variant"):
        ProceduralPrompts("loud")  # type: ignore[arg-type]
    with pytest.raises(MusicZooError, match="no Tempo"):
        ProceduralPrompts(
            "bare", Remi({"special_tokens": ["PAD", "BOS", "EOS"], "use_time_signatures": True})
        )
    with pytest.raises(MusicZooError, match="no split"):
        CorpusPrompts(MidiDataModule(pieces()), "dev")  # type: ignore[arg-type]
    data = MidiDataModule(
        pieces(),
        Remi.smart(),
        programs=None,
        max_empty_bars=1.0,
        val_fraction=0.0,
        test_fraction=0.0,
        progress=False,
    )
    with pytest.raises(MusicZooError, match="no pieces for test"):
        CorpusPrompts(data, "test").draw(1, random.Random(0))
