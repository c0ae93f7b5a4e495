"""The rules by which a generated piece may be an example (NotaGen's code)."""

from __future__ import annotations

import pytest

from musiczoo.music.abc import Tune, read_abc
from musiczoo.rewards.admission import misalignment, ungrouped_staves


def piece(*voices: str, header: str = "") -> Tune:
    body = "\n".join(f"V:{number}\n{bars}" for number, bars in enumerate(voices, 1))
    return read_abc(f"X:1\nM:4/4\nL:1/4\n{header}K:C\n{body}\n")


@pytest.mark.parametrize(
    "voices",
    [
        ("CDEF|C4|",),
        ("CDEF|C4|]", "C2D2|C4|]"),
        ("|:C4|C4:|", "|:C2C2|z4:|", "|:(3CDE C2|c4:|"),
        ("CDE|C4|", "C3|C4|"),
    ],
)
def test_aligned(voices):
    # A bar of another length than the metre's is no fault where all voices have it.
    assert misalignment(piece(*voices)) is None


@pytest.mark.parametrize(
    ("voices", "reason"),
    [
        (("CDEF|C4|", "C4|"), "voice 2 has 1 bars, voice 1 has 2"),
        (
            ("CDEF|C4|", "C4|C4|", "C3|C4|"),
            "bar 1 of voice 3 has another length than that of voice 1",
        ),
        (("C4|C4|", "C4|C7/2|"), "bar 2 of voice 2 has another length"),
        (("C4|C4|", "C4|C4||"), "bar 2 of voice 2 has other bar-lines"),
        (("|:C4|C4:|", "C4|C4:|"), "bar 1 of voice 2 has other bar-lines"),
    ],
)
def test_misaligned(voices, reason):
    assert reason in str(misalignment(piece(*voices)))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("Piano", "", "Violin"), None),
        (("Violin", "Violin", "Cello"), None),
        (("Violin", "Cello", "Violin"), "the staves of Violin do not stand together"),
        (("Piano", "", "Cello", "", "Piano"), "the staves of Piano do not stand together"),
        (("", ""), None),
    ],
)
def test_grouped_staves(names, found):
    header = "".join(
        f"V:{number} treble{f' nm={chr(34)}{name}{chr(34)}' if name else ''}\n"
        for number, name in enumerate(names, 1)
    )
    assert ungrouped_staves(piece(*["C4|"] * len(names), header=header)) == found
