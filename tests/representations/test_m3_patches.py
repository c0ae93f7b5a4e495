"""M3 patches against those that the published code makes, and its rules case by case."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import M3Patches, abc_text

FIXTURE = Path(__file__).parents[1] / "fixtures" / "clamp2" / "clamp2_tiny.json"


def texts(patches) -> list[str]:
    """The characters of each patch without begin and end marks and padding."""
    return [bytes(row.tolist()).strip(b"\x00\x01\x02").decode() for row in patches[1:-1]]


@pytest.mark.parametrize("case", ["abc", "long_abc", "mtf"])
def test_published_patches(case: str):
    wanted = json.loads(FIXTURE.read_text())["cases"][case]
    patches = M3Patches(strip_unit_length=False).encode_text(wanted["text"])
    assert len(patches) == wanted["n_patches"]
    assert patches[: len(wanted["first_patches"])].tolist() == wanted["first_patches"]


def test_begin_end_and_long_patches():
    patches = M3Patches(patch_size=8).encode_text("%%score 1\n[V:1]abcdefgh|\n[V:1]c|\n")
    assert patches.tolist() == [
        [1] * 8,
        [1, *b"%%score"],
        [1, *b"[V:1]ab"],
        [1, *b"[V:1]c|"],
        [1] + [2] * 7,
    ]
    assert M3Patches(patch_size=16).encode_text("[V:1]c|\n")[1].tolist() == [
        1,
        *b"[V:1]c|\n",
        2,
        0,
        0,
        0,
        0,
        0,
        0,
    ]


def test_lines_of_abc():
    text = '%Baroque\n%%score 1\nL:1/8\nK:C\nV:1 nm="Fl\u00f6te"\n\n[V:1]|:ab|1[V:2]cd|1\n[V:1]e:|2[V:2]z:|2\nlost\n[V:1]f|]\n'
    wanted = [
        "%%score 1\n",
        "L:1/8\n",
        "K:C\n",
        'V:1 nm="Flote"\n',
        "[V:1]|:",
        "ab|",
        "1[V:2]cd|\n",
    ]
    wanted += ["[V:1]e:|", "2[V:2]z:|\n", "[V:1]f|]\n"]
    assert texts(M3Patches(strip_unit_length=False).encode_text(text)) == wanted
    assert texts(M3Patches().encode_text(text)) == [line for line in wanted if line != "L:1/8\n"]


def test_a_leading_bar_line_belongs_to_the_first_bar_and_double_ones_shift_the_pairs():
    """As published, so that features of such lines are the published ones."""
    assert texts(M3Patches().encode_text("|:a|b:|\n")) == ["|:a|", "b:|\n"]
    assert texts(M3Patches().encode_text("ab:||:c|d|\n")) == ["ab:|", "|:c", "|d", "|\n\n"]


def test_runs_of_one_type_are_packed_as_far_as_they_fit():
    """The first line with its newline, a tab instead of each newline except the last: at most 62 characters."""
    run = [f"note_on 0 0 {pitch} 80" for pitch in (60, 61, 62, 63, 64)]
    assert [
        len(line)
        for line in texts(M3Patches().encode_text("\n".join(["ticks_per_beat 480", *run, ""])))
    ] == [19, 18 + 4 * 10]
    # Four characters of room are left, for three and a newline, or for four where the text ends
    # without one.
    for ending, fits in (("9 9\n", True), ("99 9\n", False), ("99 9", True), ("99 99", False)):
        lines = texts(
            M3Patches().encode_text("\n".join(["ticks_per_beat 480", *run, f"note_on {ending}"]))
        )
        assert (
            lines[1:] == ["\t".join([run[0], *(line[8:] for line in run[1:]), ending])]
            if fits
            else len(lines) == 3
        )
    alternating = "ticks_per_beat 480\nnote_on 0 0 60 80\nnote_off 9 0 60 0\nnote_on 0 0 60 80"
    assert texts(M3Patches().encode_text(alternating)) == alternating.splitlines(keepends=True)


TUNE = "%Baroque\nX:1\nT:Title\n%%score 1 2\nL:1/8\nM:2/4\nK:C\nV:1\nV:2\nV:1\nc4|d4|e4|z4|]\nV:2\nC4|z4|E4|z4|]\n"


def test_the_text_of_a_tune_has_no_labels_and_all_rests():
    text = abc_text(read_abc(TUNE))
    assert "Baroque" not in text
    assert "Title" not in text
    assert text.endswith(
        "[V:1]c4|[V:2]C4|\n[V:1]d4|[V:2]z4|\n[V:1]e4|[V:2]E4|\n[V:1]z4|][V:2]z4|]\n"
    )


def test_a_long_piece_is_cropped_to_its_head_or_at_random():
    representation = M3Patches(max_length=5)
    whole = M3Patches(max_length=500).encode(read_abc(TUNE))
    assert representation.encode(read_abc(TUNE)).equal(whole[:5])
    found = set()
    for seed in range(300):
        crop = representation.encode(read_abc(TUNE), rng=random.Random(seed))
        found |= {start for start in range(len(whole) - 4) if crop.equal(whole[start : start + 5])}
        assert len(crop) == 5
    assert found == set(range(len(whole) - 4))


def test_batches_settings_and_the_way_back():
    representation = M3Patches(strip_unit_length=False)
    tune = read_abc(TUNE)
    patches = representation.encode(tune)
    assert abc_text(representation.decode(patches)) == abc_text(tune)
    batch = representation.collate([patches, patches[:3]])
    assert batch["patches"].shape == (2, len(patches), 64)
    assert batch["lengths"].tolist() == [len(patches), 3]
    assert not batch["patches"][1, 3:].any()
    assert (
        M3Patches.from_config(representation.to_config()).to_config() == representation.to_config()
    )
    with pytest.raises(MusicZooError):
        M3Patches(patch_size=2)
