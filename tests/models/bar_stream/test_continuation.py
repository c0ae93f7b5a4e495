"""Scores in several formats are continued in their own voices; what is given comes back unchanged."""

import pytest
import torch

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.continuation import Opening, choose_total
from musiczoo.models.prompts import Prompt
from musiczoo.models.sampling import GREEDY, Sampling
from musiczoo.music import from_score, read, to_score, write
from musiczoo.music.abc import Bar, Tune, Voice, read_abc, write_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

SONG = """X:7
T:Éclair
C:Dvořák
%%score [ (S A) T ]
M:3/4
L:1/8
Q:1/4=90
K:Gm
V:S treble nm="Soprano"
V:A treble
V:T bass nm="Tenor"
V:Q bass
V:S
d2|"^très long"G2 ^F2 G2|A3 B c2-|c2 B4|]
V:A
D2|D6|z6|D6|]
V:T
z2|G,6|G,4 D2|G,6|]
"""
UNCUT = Sampling(top_k=0, top_p=1.0, temperature=1.0)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return BarStreamModule(
        patch_layers=1, char_layers=1, hidden=32, heads=2, patch_length=64
    ).eval()


def go_on(module, scores, bars=None, seed=3, **options):
    generator = torch.Generator().manual_seed(seed)
    limits = {} if "max_bars" in options else {"max_bars": 6}
    return module.continue_pieces(scores, bars, generator=generator, **limits, **options)


def assert_kept(given, result, bars):
    assert result.error is None, result.error
    piece = result.piece
    assert piece.header == given.header
    assert [voice.id for voice in piece.voices] == [voice.id for voice in given.voices]
    assert result.opening_bars == bars < result.planned_bars
    assert result.generated.stop == "end"
    for own, now in zip(given.voices, piece.voices, strict=True):
        assert len(now.bars) == result.planned_bars
        assert now.bars[: bars - 1] == own.bars[: bars - 1]
        assert (now.bars[bars - 1].text, now.bars[bars - 1].left) == (
            own.bars[bars - 1].text,
            own.bars[bars - 1].left,
        )
        assert now.bars[bars - 1].right not in ("", "|]")
    for spans in zip(*(voice.bars[bars:] for voice in piece.parsed), strict=True):
        assert len({span.duration for span in spans}) == 1
    # What comes out can be read again.
    again = read_abc(write_abc(piece))
    assert [len(voice.bars) for voice in again.voices] == [result.planned_bars] * len(given.voices)


@pytest.mark.parametrize("bars", [None, 1, 2])
def test_an_abc_score_with_a_pickup_names_and_a_silent_voice(module, bars):
    given = read_abc(SONG)
    [result] = go_on(module, [given], bars)
    assert_kept(given, result, bars or 4)
    # The model was shown neither the title nor letters outside ASCII, and its own names of the
    # voices.
    assert result.generated.text.startswith("%%score [ (1 2) 3 ]\nM:3/4\n")
    assert "V:4" not in result.generated.text
    counters = f"[r:0/{result.planned_bars - 1}][V:1]d2|[V:2]D2|"
    assert counters in result.generated.text
    assert '"^tres long"' in result.generated.text or bars == 1


@pytest.mark.parametrize("suffix", [".abc", ".musicxml", ".mxl", ".mid"])
def test_files_of_every_format(module, tmp_path, suffix):
    path = write(read_abc(SONG), tmp_path / f"song{suffix}")
    piece = read(path)
    given = piece if isinstance(piece, Tune) else from_score(piece)
    assert len(given.voices) == 3
    [result] = go_on(module, [path], 2)
    assert_kept(given, result, 2)


def test_several_scores_at_once_each_with_its_own_length(module):
    folk = read_abc("X:1\nT:A Reel\nR:reel\nM:4/4\nL:1/8\nK:D\n|:dA FA|dA FA|\n")
    scores = [read_abc(SONG), folk, to_score(read_abc(SONG))]
    results = go_on(module, scores, max_bars=7)
    for given, result, bars in zip(
        (scores[0], folk, from_score(scores[2])), results, (4, 2, 4), strict=True
    ):
        assert_kept(given, result, bars)
    assert results[1].piece.voices[0].bars[0].left == "|:"
    again = go_on(module, scores, max_bars=7)
    assert [result.piece for result in again] == [result.piece for result in results]
    assert [result.piece for result in go_on(module, scores, max_bars=7, seed=4)] != [
        result.piece for result in results
    ]


def test_the_length_is_the_models_choice_within_limits(module):
    header = ("M:4/4", "L:1/8", "K:C")
    generator = torch.Generator().manual_seed(0)
    totals = [
        choose_total(module.net, module.representation, header, (9, 123), UNCUT, generator)
        for _ in range(60)
    ]
    assert all(9 <= total <= 123 for total in totals)
    assert len(set(totals)) > 10
    assert choose_total(module.net, module.representation, header, (12, 12), UNCUT, generator) == 12
    # Drawn from the model: the greedy choice is the one that its own probabilities of the counter
    # prefer, digit by digit.
    [greedy] = {
        choose_total(module.net, module.representation, header, (1, 9), GREEDY, None)
        for _ in range(3)
    }
    texts = [
        "".join(f"{line}\n" for line in header) + f"[r:0/{number}][V:1]" for number in range(9)
    ]
    scores = [
        module.log_probs(
            module.representation.collate(
                [module.representation.encode_text(t, annotate=False, end=False)]
            )
        )
        for t in texts
    ]
    at = len("[r:0/")
    first = [float(score.values.reshape(-1, 16)[-1, at]) for score in scores]
    assert greedy - 1 == first.index(max(first))


def test_an_opening_longer_than_the_context_is_kept_whole(module):
    bars = tuple(Bar(f"{'CDEFGAB'[i % 7]}4 z4" if i != 20 else "[M:3/4][K:D]C6") for i in range(60))
    given = Tune(read_abc("X:1\nT:Long\nM:4/4\nL:1/8\nK:C\nC8|").header, (Voice("1", bars),))
    [result] = go_on(module, [given], max_bars=63)
    assert_kept(given, result, 60)
    shown = result.generated.text
    assert "[r:0/" not in shown
    # The model reads what holds by then before the first bar that it sees.
    first = next(line for line in shown.splitlines() if line.startswith("[r:"))
    assert "[V:1][M:3/4][K:D]" in first
    assert (
        len(module.representation.encode_text(shown.split("[r:60/")[0], annotate=False, end=False))
        <= 52
    )


def test_an_open_repeat_an_open_tie_and_a_final_bar_line(module):
    given = read_abc("X:1\nM:2/4\nL:1/8\nK:C\n|:CD EF|GA Bc-:|\n")
    [result] = go_on(module, [given])
    assert result.piece.voices[0].bars[1].right == ":|"
    unclosed = read_abc("X:1\nM:2/4\nL:1/8\nK:C\n|:CD EF|GA Bc-|]\n")
    [result] = go_on(module, [unclosed])
    assert_kept(unclosed, result, 2)
    assert to_score(result.piece).note_num() > 8


def test_labels_stand_before_the_header_and_not_in_the_result(module):
    [result] = go_on(
        module, [read_abc(SONG)], 2, labels=Labels("Baroque", "Dvořák, Antonín", "Choral")
    )
    assert result.generated.text.startswith("%Baroque\n%Dvorak, Antonin\n%Choral\n%%score")
    assert result.piece.header == read_abc(SONG).header


def test_labels_are_checked(module):
    module.prompts = (Prompt("Baroque", "Bach, Johann Sebastian", "Choral", 9),)
    try:
        with pytest.raises(MusicZooError, match="Did you mean 'Bach, Johann Sebastian'"):
            go_on(module, [read_abc(SONG)], labels=Labels("Baroque", "Bach", "Choral"))
        go_on(module, [read_abc(SONG)], labels=Labels("Baroque", "Bach", "Choral"), new_labels=True)
    finally:
        module.prompts = ()


def test_without_a_guard_the_model_is_free_and_told_on(module):
    [result] = go_on(module, [read_abc(SONG)], guard=None, max_length=60)
    assert result.piece is None
    assert "bar under bar" in str(result.error)


def test_a_voice_that_the_score_has_not_is_no_continuation():
    opening = Opening.of(
        read_abc(SONG),
        2,
        None,
        BarStreamModule(
            patch_layers=1, char_layers=1, hidden=32, patch_length=64, heads=2
        ).representation,
    )
    with pytest.raises(MusicZooError, match="voice 5, and the score has 3"):
        opening.joined("[r:2/0][V:1]C6|[V:5]C6|\n")
    # Half a line is no bar, and a voice that rests is filled.
    piece = opening.joined("[r:2/1][V:1]C6|\n[r:3/0][V:1]C3")
    assert [voice.bars[2].text for voice in piece.voices] == ["C6", "x6", "z6"]
    assert len(piece.voices[0].bars) == 3


@pytest.mark.parametrize(
    ("score", "options", "said"),
    [
        ("nowhere.abc", {}, "no such file"),
        ("empty.abc", {}, "file is empty"),
        ("noise.mid", {}, "MIDI"),
        (Tune((), ()), {}, "no bars"),
        (
            read_abc("M:4/4\nL:1/4\nK:C\nV:1\nCDEF|CDEF|\nV:2\nC4|\n"),
            {},
            "different numbers of bars",
        ),
        (read_abc(SONG), {"bars": 0}, "opening of 0 bars"),
        (read_abc(SONG), {"max_bars": 4}, "4 bars cannot become.*raise max_bars"),
        (read_abc(SONG), {"min_bars": 9, "max_bars": 8}, "to 8 bars"),
        (read_abc(SONG), {"colour": "red"}, "no option colour"),
        (read_abc(SONG.replace("K:Gm", "m:~n = " + "o/n/" * 300 + "\nK:Gm")), {}, "header takes"),
    ],
)
def test_what_cannot_be_continued_is_said(module, tmp_path, score, options, said):
    (tmp_path / "empty.abc").write_text("")
    (tmp_path / "noise.mid").write_bytes(b"MThd\x00\x00noise")
    with pytest.raises(MusicZooError, match=said):
        go_on(module, [tmp_path / score if isinstance(score, str) else score], **options)


def test_a_piece_of_unequal_voices_has_an_equal_beginning(module):
    given = read_abc("M:4/4\nL:1/4\nK:C\nV:1\nCDEF|CDEF|\nV:2\nC4|\n")
    [result] = go_on(module, [given], 1)
    assert [len(voice.bars) for voice in result.piece.voices] == [result.planned_bars] * 2
