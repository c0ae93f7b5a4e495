"""Gathering over the processes of a run: with one process, and with two."""

from __future__ import annotations

from typing import Any

import pytest

from musiczoo.models.base.ranks import agreed, from_first, gathered
from musiczoo.music.errors import MusicZooError
from tests.two_processes import answers_of_two


def failing() -> int:
    raise MusicZooError("This process failed.", where="here")


def test_one_process_sends_nothing():
    thing = object()
    assert gathered(thing, 1) == [thing]
    assert from_first(thing, 1) is thing
    assert agreed(lambda: 7, 1) == 7
    with pytest.raises(MusicZooError, match="This process failed"):
        agreed(failing, 1)


def _answers(rank: int) -> list[Any]:
    found: list[Any] = [
        gathered({"rank": rank}, 2),
        from_first(f"of {rank}", 2),
        agreed(lambda: rank, 2),
    ]
    try:
        agreed(failing if rank else lambda: rank, 2)
    except MusicZooError as error:
        found.append(error.message)
    return found


@pytest.mark.dist
def test_two_processes_agree(tmp_path):
    found = answers_of_two(_answers, tmp_path / "meeting")
    assert sorted(found) == [0, 1]
    for rank, answer in found.items():
        assert answer == [
            [{"rank": 0}, {"rank": 1}],
            "of 0",
            rank,
            "This process failed.",
        ]
    assert len(found) == 2
