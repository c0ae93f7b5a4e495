import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from musiczoo.music.abc import interleaved_lines, read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import BOS, EOS, PAD, BarStreamPatches, prompt_lines

FIXTURES = Path(__file__).parents[1] / "fixtures" / "bar_stream"
PIECE = (FIXTURES / "piece.abc").read_text()
REFERENCE = json.loads((FIXTURES / "notagen_tiny.json").read_text())["patches"]
HEADER = "L:1/8\nM:4/4\nK:C\nV:1 treble\nV:2 bass\n"


def texts(patches: torch.Tensor) -> list[str]:
    return ["".join(chr(code) for code in patch) for patch in patches.tolist()]


def long_text(bars: int) -> str:
    return HEADER + "".join(f"[V:1]{'CDEFGAB'[i % 7]}8|[V:2]C,8|\n" for i in range(bars))


def test_identical_to_the_reference():
    patches = BarStreamPatches().encode_text(PIECE)
    assert patches.dtype == torch.uint8
    assert patches.tolist() == REFERENCE


def test_tune_identical_to_the_reference():
    assert BarStreamPatches().encode(read_abc(PIECE)).tolist() == REFERENCE


def test_rests_are_left_out_and_restored():
    text = HEADER + "[V:1]C8|[V:2]z8|\n[V:1]z8|[V:2]C,8|\n[V:1]z8|[V:2]z8|\n[V:1]C8|[V:2]C,8|]\n"
    representation = BarStreamPatches()
    patches = representation.encode(read_abc(text))
    body = representation.decode_text(patches).partition("[r:")[2]
    assert "z8|[V:2]C" not in body
    assert "[V:2]z8" not in body.splitlines()[0]
    assert representation.decode(patches).notes() == read_abc(text).notes()
    assert [len(voice.bars) for voice in representation.decode(patches).voices] == [4, 4]


@pytest.mark.parametrize(
    ("line", "groups"),
    [
        ("[V:1]|:C4|[V:2]|:D4|\n", ["[V:1]", "|:C4", "|[V:2]", "|:D4|\n"]),
        ("[V:1]C4|1[V:2]D4|1\n", ["[V:1]C4", "|1[V:2]D4|1\n"]),
        ("[V:1]C4:|2[V:2]D4:|2\n", ["[V:1]C4", ":|2[V:2]D4:|2\n"]),
        ("[V:1]C4||[V:2]D4||\n", ["[V:1]C4", "||[V:2]D4||\n"]),
        ("[V:1]C4::[V:2]D4::\n", ["[V:1]C4", "::[V:2]D4::\n"]),
        ("[V:1]C4:||:[V:2]D4:||:\n", ["[V:1]C4", ":||:[V:2]D4:||:\n"]),
        ("[V:1]C4\n", ["[V:1]C4\n"]),
        ("[V:1]C4|\n", ["[V:1]C4|\n"]),
    ],
)
def test_groups(line, groups):
    representation = BarStreamPatches(patch_size=64)
    patches = texts(representation.encode_text(line, annotate=False))
    assert [patch.rstrip("\0").removesuffix("\2") for patch in patches[1:-1]] == groups


def test_a_full_patch_has_no_end_mark():
    representation = BarStreamPatches()
    assert texts(representation.encode_text("T:3456789012345\n", end=False))[1:] == [
        "T:3456789012345\n"
    ]
    assert texts(representation.encode_text("T:345678901234\n", end=False))[1:] == [
        "T:345678901234\n\2"
    ]
    assert texts(representation.encode_text("T:34567890123456\n", end=False))[1:] == [
        "T:34567890123456",
        "\n\2" + "\0" * 14,
    ]


def test_special_patches():
    patches = BarStreamPatches().encode_text(PIECE)
    assert patches[0].tolist() == [BOS] * 15 + [EOS]
    assert patches[-1].tolist() == [BOS] + [EOS] * 15


def test_decode_is_lossless():
    representation = BarStreamPatches()
    assert representation.decode_text(representation.encode_text(PIECE, annotate=False)) == PIECE
    annotated = representation.decode_text(representation.encode_text(PIECE))
    assert [line.partition("]")[0] for line in annotated.splitlines()[12:]] == [
        f"[r:{i}/{8 - i}" for i in range(9)
    ]
    assert representation.encode_text(annotated).tolist() == REFERENCE
    assert representation.decode_text(torch.tensor(REFERENCE)) == annotated


def test_decode_gives_the_tune():
    representation = BarStreamPatches()
    tune = representation.decode(torch.tensor(REFERENCE))
    assert tune.notes() == read_abc(PIECE).notes()
    assert interleaved_lines(tune, omit_rests=True) == PIECE.splitlines()[12:]


def test_decode_drops_the_bar_that_was_cut_off():
    tune = BarStreamPatches().decode(torch.tensor(REFERENCE)[:-10])
    assert [len(voice.bars) for voice in tune.voices] == [7] * 4


def test_an_open_text_goes_on():
    representation = BarStreamPatches()
    prompt = "%Baroque\nK:C\n[r:0/"
    patches = texts(representation.encode_text(prompt, end=False))
    assert patches[1:] == ["%Baroque\n\2" + "\0" * 6, "K:C\n\2" + "\0" * 11, "[r:0/" + "\0" * 11]
    for cut in range(PIECE.index("[V:") + 3, len(PIECE)):
        assert (
            representation.decode_text(
                representation.encode_text(PIECE[:cut], annotate=False, end=False)
            )
            == PIECE[:cut]
        )


def test_prompt():
    assert prompt_lines("Baroque", "Bach, Johann Sebastian", "Choral") == [
        "%Baroque",
        "%Bach, Johann Sebastian",
        "%Choral",
    ]
    patches = BarStreamPatches().encode_prompt("Baroque", "Anonymous, Fixture", "Choral")
    assert patches.tolist() == REFERENCE[:5]
    with pytest.raises(MusicZooError):
        prompt_lines("Baroque", "Bach\nK:C", "Choral")


def test_crops():
    text = long_text(50)
    representation = BarStreamPatches(max_length=40)
    whole = texts(representation.encode_text(text, max_length=10_000))
    header = whole[:6]
    # Patches a line: "[r:i/j][V:1]C8" takes one (lines 0 to 9, 40 to 49, 15 or fewer characters) or
    # two, "|[V:2]C,8|" one.
    starts = [index - 6 for index, patch in enumerate(whole) if patch.startswith("[r:")]
    excess = len(whole) - 40
    tail = next(index for index, start in enumerate(starts) if start >= excess)
    rng = random.Random(0)
    first_lines = Counter()
    for _ in range(900):
        crop = texts(representation.encode_text(text, rng=rng))
        line = next(index for index, start in enumerate(starts) if crop[6] == whole[6 + start])
        first_lines[line] += 1
        assert crop == [*header, *whole[6 + starts[line] :]][:40]
    assert set(first_lines) == set(range(tail + 1))
    assert 240 < first_lines[0] < 360
    assert 240 < first_lines[tail] < 360
    assert crop[:6] == header
    assert texts(representation.encode_text(text)) == whole[:40]


def test_tail_ends_with_the_end_patch():
    representation = BarStreamPatches(max_length=40)
    crops = [
        representation.encode_text(long_text(50), rng=random.Random(seed)) for seed in range(30)
    ]
    tails = [crop for crop in crops if crop[-1].tolist() == [BOS] + [EOS] * 15]
    assert tails
    assert all("/0]" in representation.decode_text(crop) for crop in tails)


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 9])
def test_crop_with_little_room(limit):
    patches = BarStreamPatches(max_length=limit).encode_text(long_text(5), rng=random.Random(1))
    assert len(patches) == limit


def test_collate():
    representation = BarStreamPatches()
    short, long = representation.encode_text(long_text(2)), representation.encode_text(long_text(9))
    batch = representation.collate([short, long])
    assert batch["patches"].shape == (2, len(long), 16)
    assert batch["patches"].dtype == torch.uint8
    assert batch["lengths"].tolist() == [len(short), len(long)]
    assert batch["lengths"].dtype == torch.int64
    assert torch.equal(batch["patches"][0, : len(short)], short)
    assert (batch["patches"][0, len(short) :] == PAD).all()


def test_config():
    representation = BarStreamPatches(patch_size=8, max_length=99, omit_rests=False)
    config = json.loads(json.dumps(representation.to_config()))
    assert BarStreamPatches.from_config(config).to_config() == representation.to_config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "[V:1]\u00e4|\n", "line 6"),
        (HEADER + "[V:1]a\x01|\n", "line 6"),
        (HEADER, "no bars"),
        ("", "no bars"),
        ("K:C\nabc|def|\n[V:1]a|\n", "line 2"),
    ],
)
def test_bad_text(text, message):
    with pytest.raises(MusicZooError, match=message):
        BarStreamPatches().encode_text(text)


def test_bad_patches():
    representation = BarStreamPatches()
    for patches in (
        torch.full((2, 16), 200),
        torch.zeros(2, 16),
        torch.zeros(16, dtype=torch.long),
        torch.full((2, 16), -1),
    ):
        with pytest.raises(MusicZooError):
            representation.decode_text(patches)
    with pytest.raises(MusicZooError):
        BarStreamPatches(max_length=0)


def test_speed():
    text = long_text(480)
    representation = BarStreamPatches(max_length=4096)
    assert len(representation.encode_text(text)) > 1000
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        representation.encode_text(text)
        best = min(best, time.perf_counter() - start)
    assert best < 0.010
