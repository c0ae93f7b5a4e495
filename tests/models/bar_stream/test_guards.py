import random
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from musiczoo.models.bar_stream.bar_grammar import BarGrammar
from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guards, PieceGuard
from musiczoo.models.bar_stream.note_grammar import METER_FIELDS
from musiczoo.music.abc import bar_duration
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import BarStreamPatches

PIECE = (Path(__file__).parents[2] / "fixtures" / "bar_stream" / "piece.abc").read_text()
PATCHES = BarStreamPatches(max_length=100_000)
QUARTET = "L:1/8\nM:4/4\nK:G\nV:1 treble\nV:2 treble\nV:3 bass\nV:4 bass\n"
MELODY = "L:1/16\nM:6/8\nK:D\nV:1 treble\n"
BAND = "%%score 1 2\nM:none\nK:C\n" + "".join(
    f'V:{voice} bass nm="B"\n' for voice in (3, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12)
)
STRUCTURE = '\x02(){}&<>/:]!"|\n'


def draw(choices: list[str], rng: random.Random) -> str:
    """Uniform half of the time, otherwise a character that begins or ends something."""
    structural = [choice for choice in choices if choice in STRUCTURE]
    return rng.choice(structural if structural and rng.random() < 0.5 else choices)


def sample(follower: PieceGuard, prompt: str, rng: random.Random) -> torch.Tensor:
    """A piece of random characters that the guard allows; its body begins as the generator forces it."""
    rows = PATCHES.encode_text(prompt, annotate=False, end=False).tolist()
    patch = "[r:0/"
    while True:
        while len(patch) < 16 and not (patch.endswith("\x02") and patch[0] != "\x01"):
            mask = follower.mask(patch)
            assert mask is not None
            choices = [chr(code) for code in np.flatnonzero(mask)]
            assert choices, f"dead end after {patch!r}"
            assert "\0" not in choices
            patch += draw(choices, rng)
        follower.commit(patch)
        rows.append([ord(character) for character in patch] + [0] * (16 - len(patch)))
        if patch[0] == "\x01":
            return torch.tensor(rows)
        patch = ""


def follow(guard, prompt: str = ""):
    return guard.for_piece(prompt)


def allowed_after(follower: PieceGuard, patch: str) -> set[str]:
    return {chr(code) for code in np.flatnonzero(follower.mask(patch))}


def feed(follower: PieceGuard, text: str) -> str | None:
    """Feeds patched text; the first patch with a character that the mask forbids, and that character."""
    for patch in PATCHES.encode_text(text, annotate=False, end=False)[1:].tolist():
        characters = "".join(chr(code) for code in patch if code)
        for place, character in enumerate(characters):
            mask = follower.mask(characters[:place])
            if mask is not None and not mask[ord(character)]:
                return characters[: place + 1]
        follower.commit(characters)
    return None


@pytest.mark.parametrize("header", [QUARTET, MELODY, BAND], ids=["quartet", "melody", "band"])
@pytest.mark.parametrize("meter", [False, True])
def test_every_random_piece_is_aligned_and_ends(header, meter):
    for seed in range(4):
        guard = Guards([BarDurations(meter=meter), Countdown(2, 6)])
        patches = sample(guard.for_piece(header), header, random.Random(seed))
        text = PATCHES.decode_text(patches)
        # The patches are cut where the representation cuts them.
        assert torch.equal(PATCHES.encode_text(text, annotate=False).long(), patches)
        tune = PATCHES.decode(patches)
        bars = list(zip(*(voice.bars for voice in tune.parsed), strict=True))
        assert 2 <= len(bars) <= 6
        for index, bar in enumerate(bars):
            assert len({voice.duration for voice in bar}) == 1, text
            assert len({voice.right for voice in bar}) == 1, text
            if meter and bar[0].nominal is not None:
                full = bar[0].duration == bar[0].nominal
                assert full or index in (0, len(bars) - 1)
                assert bar[0].duration <= bar[0].nominal
        counters = [line.partition("]")[0] for line in text.splitlines() if line.startswith("[r:")]
        assert counters == [f"[r:{index}/{len(bars) - 1 - index}" for index in range(len(bars))]


def test_length_of_a_random_bar_is_what_the_parser_finds():
    rng = random.Random(3)
    seen: dict[str, int] = {}
    for trial in range(400):
        exact = trial % 2 == 0
        unit = rng.choice([4, 8, 16, 32])
        limit = rng.choice([8, 16, 20, 48, 64, 96, 128])
        bar = BarGrammar(unit, limit, exact, meters=METER_FIELDS)
        text = ""
        while True:
            following, may_end = bar.allowed()
            assert following or may_end, text
            if may_end and (not following or rng.random() < 0.2):
                break
            text += (character := draw(sorted(set(following)), rng))
            bar.advance(character)
        ticks = bar.finish()
        assert ticks == limit if exact else 0 < ticks <= limit
        assert bar_duration(text, Fraction(unit, 32), (4, 4)) == Fraction(ticks, 32), text
        for part in "({[&<>/\"!~'":
            seen[part] = seen.get(part, 0) + (part in text)
    assert min(seen.values()) > 20, "the fuzz did not reach every construct"


def test_real_music_is_allowed():
    header, body = PIECE[: PIECE.index("[V:1]")], PATCHES.decode_text(PATCHES.encode_text(PIECE))
    guard = Guards([BarDurations(meter=True), Countdown(9, 9)])
    follower = guard.for_piece(header)
    assert feed(follower, body[len(header) :]) is None
    mask = follower.mask("")
    assert np.flatnonzero(mask).tolist() == [1]
    assert np.flatnonzero(follower.mask("\x01")).tolist() == [2]


RICH = [
    '[r:0/9][V:1][K:bass] "G7"!p!(3ABc {/g}[CEG]2- [CEG]4|[V:2]A>B .c2 z4|\n',
    '[r:1/8][V:1](3:2:2A2B c2 d4-|1[V:2]!>(!"^dolce"(D4 E4)|1\n',
    "[r:2/7][V:1][M:3/4]^f3/2g/4a/4 =b2 __c''2:|2[V:2][M:3/4]D,,6:|2\n",
    '[r:3/6][V:1][Q:1/4=96]~A6 "D.C."||[V:2][I:staff +1]D6&E4 F2||\n',
    "[r:4/5][V:2](5:4:5A/B/c/d/e/ x2 f2|]\n",
]


def test_rich_notation_is_allowed():
    follower = follow(BarDurations(), "L:1/8\nM:4/4\nK:C\nV:1\nV:2\n")
    for line in RICH:
        assert feed(follower, line) is None


@pytest.mark.parametrize(
    ("body", "stops_at"),
    [
        # The second voice is an eighth short, an eighth long, or closes otherwise.
        ("[r:0/9][V:1]A8|[V:2]B4 c3|\n", "|"),
        ("[r:0/9][V:1]A8|[V:2]B4 c5|\n", "|"),
        ("[r:0/9][V:1]A8||[V:2]B8|]\n", "]"),
        ("[r:0/9][V:1]A8|[V:2](3B2c2d3 e4|\n", " "),
        ("[r:0/9][V:1]A8|[V:2]B6 (3c2d|\n", "|"),
        ("[r:0/9][V:1]A8|[V:2]B6 c2&d6|\n", "|"),
        ("[r:0/9][V:1]A8|[V:2]B7 >c\n", ">"),
        # An end mark in the middle of a bar; a voice twice; a voice that the header does not know.
        ("[r:0/9][V:1]A8|[V:2]B4\n", "\n"),
        ("[r:0/9][V:1]A8|[V:1]A8|\n", "1"),
        ("[r:0/9][V:3]A8|\n", "3"),
        ("[r:0/9][V:1]Z|\n", "Z"),
        ("[r:0/9]A8|\n", "A"),
    ],
)
def test_what_does_not_fit_is_forbidden(body, stops_at):
    follower = follow(BarDurations(), "L:1/8\nM:4/4\nK:C\nV:1\nV:2\n")
    assert feed(follower, body)[-1] == stops_at


def test_only_the_rest_of_the_bar_is_left():
    follower = follow(BarDurations(), "L:1/8\nM:4/4\nK:C\nV:1\nV:2\n")
    follower.commit("[r:0/2][V:1]A8\x02")
    assert allowed_after(follower, "|[V:2]C4 B,") >= set("/234 -,c")
    # Nothing like 15/4.
    assert "1" not in allowed_after(follower, "|[V:2]C4 B,")
    assert allowed_after(follower, "|[V:2]C4 B,3") >= set("/ c")
    # The bar is full: what takes no time may follow, and the bar-line, but no note and, in the last
    # voice, no end mark.
    assert "|" in allowed_after(follower, "|[V:2]C4 B,4")
    assert not allowed_after(follower, "|[V:2]C4 B,4") & set("ABczx(\x02")
    # Five eighths are too many, five sixteenths are not.
    assert "/" in allowed_after(follower, "|[V:2]C4 B,5")
    assert not allowed_after(follower, "|[V:2]C4 B,5") & set("| -cz")


def test_meter_holds_the_first_voice():
    header = "L:1/8\nM:3/4\nK:C\nV:1\nV:2\n"
    strict = BarDurations(meter=True)
    assert feed(follow(strict, header), "[r:0/9][V:1]A2|\n") is None
    assert feed(follow(strict, header + "[r:0/9][V:1]A2|\n"), "[r:1/8][V:1]A4|\n")[-1] == "|"
    assert feed(follow(strict, header + "[r:0/9][V:1]A2|\n"), "[r:1/8][V:1]A7|\n")[-1] == "|"
    assert feed(follow(strict, header + "[r:0/9][V:1]A2|\n"), "[r:1/8][V:1][M:4/4]A8|\n") is None
    assert feed(follow(strict, header + "[r:0/1][V:1]A2|\n"), "[r:1/0][V:1]A4|\n") is None
    assert feed(follow(BarDurations(), header + "[r:0/9][V:1]A2|\n"), "[r:1/8][V:1]A4|\n") is None


def test_countdown():
    guard = Countdown(min_bars=9, max_bars=120)
    header = "K:C\n"
    for count, is_allowed in [
        (1, False),
        (8, False),
        (9, True),
        (10, True),
        (99, True),
        (120, True),
        (121, False),
        (1200, False),
    ]:
        assert (feed(follow(guard, header), f"[r:0/{count - 1}]") is None) is is_allowed, count
    follower = follow(guard, header + "[r:0/11][V:1]A8|\n")
    assert follower.mask("").sum() == 1
    assert feed(follower, "[r:2/9]") == "[r:2"
    assert feed(follow(guard, header + "[r:0/11][V:1]A8|\n"), "[r:1/10][V:1]B") is None
    ended = follow(guard, header + "[r:7/0][V:1]A8|\n")
    assert np.flatnonzero(ended.mask("")).tolist() == [1]
    assert not follow(guard, header).mask("")[1], "a piece must not end in its header"
    with pytest.raises(MusicZooError):
        Countdown(5, 4)


def test_asking_twice_and_beginning_a_patch_anew():
    follower = follow(Guards([BarDurations(), Countdown(4, 4)]), QUARTET)
    first = follower.mask("[r:0/3][V:1]A")
    follower.mask("K:")
    assert np.array_equal(follower.mask("[r:0/3][V:1]A"), first)
    follower.commit("[r:0/3][V:1]A8\x02")
    assert allowed_after(follower, "|") == set("[|]:123456")


def test_a_prompt_that_breaks_the_rules_is_followed_again_at_its_next_bar():
    prompt = "L:1/8\nM:4/4\nK:C\nV:1\nV:2\n[r:0/3][V:1]Z|[V:2]A4|\n"
    follower = follow(Guards([BarDurations(), Countdown()]), prompt)
    assert feed(follower, "[r:1/2][V:1]A4|[V:2]A5 ") == "|[V:2]A5 "


def test_voice_numbers_come_in_order_of_the_body():
    follower = follow(BarDurations(), BAND)
    assert feed(follower, "[r:0/3][V:2]A4|[V:10]A4|[V:12]A4|\n") is None
    assert feed(follower, "[r:1/2][V:10]A4|[V:2]A4") == "|[V:2"


def test_mask_is_cheap():
    guard = Guards([BarDurations(meter=True), Countdown(4, 8)])
    calls = 0

    class Counting:
        def __init__(self, inner):
            self.inner = inner

        def mask(self, partial):
            nonlocal calls
            calls += 1
            return self.inner.mask(partial)

        def commit(self, patch):
            self.inner.commit(patch)

    sample(Counting(guard.for_piece(QUARTET)), QUARTET, random.Random(0))
    best = float("inf")
    for _ in range(3):
        calls = 0
        start = time.process_time()
        sample(Counting(guard.for_piece(QUARTET)), QUARTET, random.Random(0))
        best = min(best, (time.process_time() - start) / calls)
    # Sampling in the test costs some of it.
    assert best < 200e-6
