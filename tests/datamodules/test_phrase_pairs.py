"""Pairs of phrases: PiRhDy's rows by hand, groups, negatives, splits, and a model that learns them."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import pytest
import torch
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from musiczoo.datamodules import PhrasePairsDataModule
from musiczoo.datamodules.phrase_items import CandidateGroups
from musiczoo.datamodules.phrases import pair_notes, pairs_of
from musiczoo.datamodules.resumable import Draw
from musiczoo.metrics import RetrievalAtK, rank_candidates
from musiczoo.models.musicbert_classifier import MusicBertClassifier
from musiczoo.music.abc import Tune, read_abc, write_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.from_tune import to_score
from musiczoo.representations.octuple import FIELDS, OctupleMidi
from musiczoo.representations.pirhdy import encode_row, read_chords, read_rows, row_notes
from tests.midi_files import write_midi
from tests.small_runs import QUIET

pytestmark = pytest.mark.filterwarnings("ignore")
OCTUPLE = OctupleMidi(130)
BAR, PROGRAM, PITCH, SIGNATURE = (
    FIELDS.index(name) for name in ("bar", "program", "pitch", "signature")
)
CHORDS = {1: (0,), 5: (4,), 20: (0, 4, 7), 655: tuple(range(12))}


def row(*notes: tuple[int, int, int, int, int, int], filled: int = 0, label: int = 1) -> list[int]:
    """A row of (phrase, slot, slots, chord, octave, velocity); rests fill the first phrase up."""
    phrases = [[[0] * 128 for _ in range(4)] for _ in range(2)]
    for slot in range(filled):
        for line, rest in enumerate((656, 12, 11, 4)):
            phrases[0][line][slot] = rest
    for phrase, slot, length, *values in notes:
        for place in range(slot, slot + length):
            for line, value in enumerate([*values, 3 if place == slot else 2]):
                phrases[phrase][line][place] = value
    return [value for phrase in phrases for line in phrase for value in line] + [label]


# A quarter note C4 (slots 0 to 7), an eighth E4 in bar 1; then a triad C5-E5-G5 of a half note.
MELODY = ((0, 0, 8, 1, 6, 7), (0, 36, 4, 5, 6, 10), (1, 0, 16, 20, 7, 1))


def test_a_row_of_melodies_in_succession() -> None:
    # 96 slots of the first phrase hold something: the second begins in bar 3.
    expected = [
        # bar, position, program, pitch, duration code, velocity, signature, tempo
        [0, 0, 80, 60, 16, 20, 9, 35],
        [1, 8, 80, 64, 8, 31, 9, 35],
        [3, 0, 80, 72, 24, 2, 9, 35],
        [3, 0, 80, 76, 24, 2, 9, 35],
        [3, 0, 80, 79, 24, 2, 9, 35],
    ]
    assert row_notes(row(*MELODY, filled=96), CHORDS, "next").tolist() == expected
    ids, label = encode_row(row(*MELODY, filled=96, label=0), CHORDS, "next")
    assert (ids.shape, label) == ((7, 8), 0)
    # Sounding: what the octuples hold.
    notes = OctupleMidi().decode(ids).tracks[0].notes
    assert [note.pitch for note in notes] == [60, 64, 72, 76, 79]


def test_a_row_of_melody_and_accompaniment() -> None:
    found = row_notes(row(*MELODY, filled=128), CHORDS, "accompaniment").tolist()
    assert [some[:4] for some in found] == [
        [0, 0, 0, 72],
        [0, 0, 0, 76],
        [0, 0, 0, 79],
        [0, 0, 80, 60],
        [1, 8, 80, 64],
    ]


def test_onsets_holds_and_ends_of_rows() -> None:
    def durations(states: list[int]) -> list[list[int]]:
        given = [0] * 1025
        for slot, state in enumerate(states):
            for line, value in enumerate((1, 6, 7, state)):
                given[line * 128 + slot] = value
        return [some[1:5:3] for some in row_notes(given, CHORDS, "next").tolist()]

    # (position, duration code): a hold at slot 0 is an onset, elsewhere it is none; 1 and 2 last.
    assert durations([2, 2, 1, 4, 2, 3, 3]) == [[0, 6], [10, 2], [12, 2]]
    # Held to the last slot: 128 slots are 256 positions, the second code of 16 positions each.
    assert durations([3] + [2] * 127) == [[0, 65]]


def test_chords_of_rows(tmp_path: Path) -> None:
    twelve = row_notes(row((0, 0, 4, 655, 5, 1)), CHORDS, "next")
    assert twelve[:, PITCH].tolist() == list(range(48, 60))
    # An id that the table does not have is left out, and so is a pitch that would be read as drums.
    assert not len(row_notes(row((0, 0, 4, 9, 5, 1)), CHORDS, "next"))
    assert row_notes(row((0, 0, 4, 20, 11, 1)), CHORDS, "next")[:, PITCH].tolist() == [
        120,
        124,
        127,
    ]
    file = tmp_path / "chords.json"
    file.write_text(json.dumps({"1": [0], "654": "unknown"}))
    assert read_chords(file) == {1: (0,), 654: tuple(range(12))}
    for content in ("[]", "{", '{"1": 3}', '{"a": [1]}', '{"1": [12]}'):
        file.write_text(content)
        with pytest.raises(MusicZooError, match=r"chords\.json"):
            read_chords(file)


def test_rows_of_files(tmp_path: Path) -> None:
    file = tmp_path / "test"
    good = [row(*MELODY, filled=128, label=label) for label in (1, 0)]
    file.write_text("\n".join(",".join(map(str, some)) for some in good) + "\n\n")
    assert [label for _, label in read_rows(file, CHORDS, "next")] == [1, 0]
    for bad in (good[0][1:], [*good[0][:-1], 7], ["x"] * 1025, row(), row((0, 0, 4, 1, 5, 12))):
        file.write_text(",".join(map(str, bad)))
        with pytest.raises(MusicZooError, match="line 1"):
            list(read_rows(file, CHORDS, "next"))
    with pytest.raises(MusicZooError, match="no task"):
        row_notes(good[0], CHORDS, "acc")  # type: ignore[arg-type]  # what is tested


def tune(seed: int, *, bars: int = 16, meter: str = "4/4", voices: int = 2) -> Tune:
    """Random melodies over random basses; no two seeds are alike."""
    rng = random.Random(seed)
    beats = int(meter[0])
    body = ""
    for voice in range(voices):
        letters = "CDEFGABcdefg" if not voice else "CDEFGAB"
        notes = [
            "".join(rng.choice(letters) + ("," * voice) for _ in range(beats)) for _ in range(bars)
        ]
        body += f"V:{voice + 1}\n{'|'.join(notes)}|\n"
    return read_abc(f"X:{seed}\nM:{meter}\nL:1/4\nK:C\n{body}")


def data(corpus: Any, **settings: Any) -> PhrasePairsDataModule:
    own = {
        "representation": OCTUPLE,
        "batch_size": 4,
        "val_fraction": 0.0,
        "test_fraction": 0.0,
        "progress": False,
    }
    return PhrasePairsDataModule(corpus, **{**own, **settings})


def test_phrases_of_a_tune() -> None:
    score = to_score(tune(1, bars=14))
    found = list(pairs_of(score, "next"))
    # 14 bars are three phrases, so two pairs.
    assert [number for number, *_ in found] == [0, 1]
    notes = OctupleMidi().notes(to_score(tune(1, bars=14, voices=1)))
    for number, meter, first, second in found:
        assert meter == 9
        for part, begin in ((first, 4 * number), (second, 4 * number + 4)):
            expected = notes[(notes[:, BAR] >= begin) & (notes[:, BAR] < begin + 4)]
            assert part[:, PITCH].tolist() == expected[:, PITCH].tolist()
            assert part[:, BAR].tolist() == (expected[:, BAR] - begin).tolist()
    whole = list(pairs_of(score, "accompaniment"))
    assert [number for number, *_ in whole] == [0, 1, 2]
    assert whole[1][2][:, PITCH].mean() > whole[1][3][:, PITCH].mean()
    assert not list(pairs_of(score, "next", max_notes=15))
    assert not list(pairs_of(score, "next", min_notes=17))


def test_a_pickup_belongs_to_no_phrase() -> None:
    text = "X:1\nM:4/4\nL:1/4\nK:C\n{}" + "CDEF|" * 7 + "G4|\n"
    plain, late = (to_score(read_abc(text.format(some))) for some in ("", "g|"))
    [one], [other] = (list(pairs_of(score, "next")) for score in (plain, late))
    for place in (2, 3):
        assert one[place][:, : SIGNATURE - 1].tolist() == other[place][:, : SIGNATURE - 1].tolist()


def test_drums_are_no_voice() -> None:
    score = to_score(tune(1, voices=1))
    drums = TrackTick("", 0, True)
    drums.notes.append(NoteTick(0, 480, 90, 80))
    score.tracks.append(drums)
    assert len(list(pairs_of(score, "next"))) == 3
    with pytest.raises(MusicZooError, match="one voice"):
        list(pairs_of(score, "accompaniment"))
    score.tracks.pop(0)
    with pytest.raises(MusicZooError, match="pitched"):
        list(pairs_of(score, "next"))


def test_pairs_as_one_sequence() -> None:
    score = to_score(tune(1))
    for track in score.tracks:
        track.program = 40
    score.tempos.append(TempoTick(0, 77.0))
    _, _, first, second = next(pairs_of(score, "next"))
    found = pair_notes(first, second, "next")
    assert found[:, BAR].tolist() == sorted(found[:, BAR].tolist())
    assert set(found[:, BAR].tolist()) == set(range(8))
    assert found[:, [PROGRAM, 5, 7]].tolist() == [[80, 20, 35]] * len(found)
    _, _, first, second = next(pairs_of(score, "accompaniment"))
    found = pair_notes(first, second, "accompaniment")
    assert set(found[:, BAR].tolist()) == set(range(4))
    assert {p: int((found[:, PROGRAM] == p).sum()) for p in (0, 80)} == {0: 16, 80: 16}
    assert set(pair_notes(first, second, "accompaniment", plain=True)[:, PROGRAM]) == {0}


@pytest.mark.parametrize("task", ["next", "accompaniment"])
def test_training_has_one_negative_a_pair(task: str) -> None:
    some = data([tune(seed) for seed in range(8)], task=task)
    items: Any = some.items(range(8), training=True)
    assert len(items) == 2 * len(some.pairs) == 2 * 8 * (3 if task == "next" else 4)
    assert some.provenance()["pairs"] == len(some.pairs)
    json.dumps(some.provenance())
    owners = {}
    for pair in some.pairs:
        owners.setdefault(pair.second[:, PITCH].tobytes(), set()).add(pair.piece)
    seen = []
    for epoch in range(2):
        drawn = [items[Draw(epoch, index)] for index in range(len(items))]
        assert [int(item["labels"]) for item in drawn] == [1, 0] * len(some.pairs)
        seen.append([item["ids"].tolist() for item in drawn])
        for place, pair in enumerate(items.pairs):
            [negative] = items.negatives(pair, 1, random.Random(f"{some.seed}:{epoch}:{pair.name}"))
            assert negative.piece != pair.piece
            assert torch.equal(drawn[2 * place + 1]["ids"], items.ids(pair, negative))
    assert seen[0][::2] == seen[1][::2]
    assert seen[0][1::2] != seen[1][1::2]
    # The seed decides, and the number of workers does not.
    batches = [
        list(data([tune(seed) for seed in range(8)], num_workers=workers).train_dataloader())
        for workers in (0, 2)
    ]
    for one, other in zip(*batches, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_groups_have_one_right_candidate_and_no_negative_of_the_same_work() -> None:
    tunes = [tune(seed) for seed in range(40)]
    some = data(tunes, val_fraction=0.5, group_size=20)
    [*batches] = some.val_dataloader()
    labels = torch.cat([batch["labels"] for batch in batches])
    groups = torch.cat([batch["groups"] for batch in batches])
    for group in groups.unique():
        assert (groups == group).sum() == 20
        assert labels[groups == group].sum() == 1
    assert len(groups.unique()) == 3 * len(some.splits.validation)
    items = some.items(some.splits.validation, training=False)
    assert isinstance(items, CandidateGroups)
    for one in items.candidates:
        assert (one.answer is one.query) == (one.answer.piece == one.query.piece)
        assert {one.answer.piece, one.query.piece} <= set(some.splits.validation)
    assert len(set(items.names)) == len(items.names)
    # Another seed draws other training pairs, and the same groups.
    other: Any = data(tunes, val_fraction=0.5, group_size=20, seed=3)
    assert other.items(other.splits.validation, training=False).names == items.names
    few: Any = data(tunes, val_fraction=0.5, group_size=20, max_groups=5)
    assert len(few.items(few.splits.validation, training=False).sizes) == 5


def test_groups_of_fewer_candidates_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    tunes = [tune(seed) for seed in range(6)] + [tune(9, meter="3/4")]
    some = data(tunes, max_groups=None)
    with caplog.at_level(logging.WARNING):
        items: Any = some.items(range(7), training=False)
    # 15 negatives of other works in 4/4, and none for the one in 3/4.
    assert set(items.sizes) == {16}
    assert "18 of 18 groups have fewer than 50 candidates (the smallest 16)" in caplog.text
    assert "3 pairs have no group" in caplog.text
    names = {pair.piece for pair in items.pairs}
    assert len(names) == 6


def test_near_duplicates_are_in_one_split_and_no_negatives() -> None:
    scores = [to_score(tune(seed)) for seed in range(30)]
    twins = [score.copy() for score in scores]
    for track in (track for score in twins for track in score.tracks):
        for note in track.notes:
            note.pitch += 3
    some = data([*scores, *twins], val_fraction=0.4, test_fraction=0.3)
    parts = [{some.clusters[place] for place in part} for part in some.splits]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert (len(some.pieces), len(set(some.clusters))) == (60, 30)
    for part in some.splits:
        items: Any = some.items(part, training=True)
        for pair in items.pairs:
            for negative in items.negatives(pair, 9, random.Random(0)):
                assert some.clusters[negative.piece] != some.clusters[pair.piece]


def test_folders_files_and_what_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in range(3):
        write_midi(to_score(tune(seed)), tmp_path / "mine" / f"{seed}.mid")
    (tmp_path / "mine/tune.abc").write_text(write_abc(tune(3)))
    (tmp_path / "mine/short.abc").write_text(write_abc(tune(4, bars=7)))
    (tmp_path / "mine/broken.mid").write_bytes(b"MThd")
    some = data([tmp_path / "mine", to_score(tune(5)), tune(6)])
    with caplog.at_level(logging.WARNING):
        some.setup()
    assert len(some.pieces) == 6
    assert len(some.left_out) == 2
    assert "2 pieces and files are left out" in caplog.text
    assert "no pair of phrases" in caplog.text


def test_what_cannot_be_used() -> None:
    with pytest.raises(MusicZooError, match="no task"):
        data([], task="acc")
    with pytest.raises(MusicZooError, match="no negative"):
        data([], group_size=1)
    with pytest.raises(MusicZooError, match="no pair of phrases"):
        data([tune(1, bars=3)]).setup()
    with pytest.raises(MusicZooError, match="one voice"):
        data([tune(1, voices=1)], task="accompaniment").setup()
    with pytest.raises(MusicZooError, match="No phrase has a negative"):
        data([tune(1)]).items([0], training=True)
    with pytest.raises(MusicZooError, match="octuples"):
        data([tune(1)], representation=object()).setup()


def test_ranking_by_hand() -> None:
    """Two groups; the row of an empty share does not count."""

    class Net(torch.nn.Module):
        def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return ids

    model: Any = SimpleNamespace(labels=("no", "yes"), net=Net(), device=torch.device("cpu"))
    # Log-odds 2, 1, 0 with the right one second; 100, 100 with the right one equal to the other.
    logits = torch.tensor([[0.0, 2.0], [0.0, 1.0], [3.0, 3.0], [0.0, 100.0], [0.0, 100.0], [0, 9]])
    batch = {
        "ids": logits,
        "lengths": torch.ones(6),
        "labels": torch.tensor([0, 1, 0, 1, 0, -100]),
        "groups": torch.tensor([0, 0, 0, 1, 1, 1]),
    }
    metric = RetrievalAtK(ks=(1, 2))
    parts = [
        {name: value[part] for name, value in batch.items()} for part in ([0, 3, 5], [1, 2, 4])
    ]
    for _ in range(2):
        found = rank_candidates(model, parts, metric=metric)
        assert found == {"map": 0.5, "hits@1": 0.0, "hits@2": 1.0}
    assert metric.describe().startswith("2 groups of 2 to 3 candidates")
    model.labels = ("yes", "no")
    assert rank_candidates(model, parts)["map"] == pytest.approx((1 / 2 + 1 / 2) / 2)
    with pytest.raises(MusicZooError, match="no groups"):
        rank_candidates(model, [{"ids": logits}])
    with pytest.raises(MusicZooError, match="no label"):
        rank_candidates(model, parts, positive="maybe")


def in_register(seed: int) -> ScoreTick:
    """A piece that stays in its register: what follows is as high as what came before."""
    rng = random.Random(seed)
    low = rng.choice([40, 88])
    score = ScoreTick(480)
    score.time_signatures.append(TimeSignatureTick(0, 4, 4))
    track = TrackTick("", 0, False)
    for bar in range(16):
        track.notes.append(NoteTick(1920 * bar, 1920, low + rng.randrange(12), 80))
    score.tracks.append(track)
    return score


def test_a_classifier_learns_what_follows() -> None:
    torch.manual_seed(0)
    some = data(
        [in_register(seed) for seed in range(100)],
        representation=None,
        batch_size=32,
        val_fraction=0.25,
        group_size=10,
        max_groups=30,
    )
    # An untrained net of few steps does not find a relation; the shipped encoder does.
    model = MusicBertClassifier(
        pretrained="musicbert-small",
        dropout=0.0,
        warmup_steps=10,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
    )
    lightning.Trainer(max_epochs=6, **QUIET).fit(model, some)
    assert model.labels == ("no", "yes")
    metric = RetrievalAtK()
    loader: Any = some.val_dataloader()
    found = rank_candidates(model, loader, metric=metric)
    # Half of the negatives is in the same register and cannot be separated.
    assert found["map"] > metric.chance()["map"] + 0.1, (found, metric.describe())
    assert found["hits@5"] > metric.chance()["hits@5"] + 0.25, (found, metric.describe())
