"""One round: which pieces become examples, what is counted of the others, and what bad pieces and bad rewards do."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from musiczoo.callbacks.preference.files import RoundFiles
from musiczoo.callbacks.preference.sampler import PreferenceSampler
from musiczoo.models.bar_stream.module import BarStreamModule
from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.rewards import CorpusSimilarity, Reward, Scores, ScoresError, as_reward
from tests.callbacks.tiny_rounds import (
    JIG,
    PROMPTS,
    REEL,
    SAMPLES,
    Writer,
    model,
    notes,
    rounds,
    tune,
    works,
    written,
)


def make(
    module: BarStreamModule,
    folder: Path,
    reward: Any = notes,
    prompts: Sequence[Labels] = PROMPTS,
    pairs: int = 6,
    **settings: Any,
) -> dict[str, Any]:
    reward = as_reward(reward)
    own = rounds(folder, **({"plagiarism": None, "reward": reward} | settings)).settings
    sampler = PreferenceSampler(own, reward, prompts, rank=0, world_size=1)
    return sampler.make(module, RoundFiles(folder), 1, pairs)


class Listed(Writer):
    """Writes given pieces, one after the other, for each prompt."""

    def __init__(self, module: BarStreamModule, pieces: Sequence[Generated | int]) -> None:
        super().__init__(module)
        self.pieces = list(pieces)
        self.given: dict[Labels, int] = {}

    def piece(self, labels: Labels, rng: random.Random) -> Generated:
        place = self.given[labels] = self.given.get(labels, -1) + 1
        chosen = self.pieces[place]
        return (
            written(self.module, labels, tune(chosen))
            if isinstance(chosen, int)
            else replace(chosen, prompt=labels)
        )


def listed(make_pieces: Callable[[BarStreamModule], Sequence[Generated | int]]) -> BarStreamModule:
    return model(lambda module: Listed(module, make_pieces(module)))


def of_text(module: BarStreamModule, text: str) -> Generated:
    """What generation would give for any text."""
    tokens = module.representation.encode_text(text, max_length=10_000)
    nothing = torch.zeros(tokens.shape)
    return Generated(
        None,
        module.representation.decode_text(tokens),
        tokens,
        nothing,
        nothing.bool(),
        "end",
        None,
        JIG,
    )


UNREADABLE = "M:4/4\nL:1/4\n[V:1]CDEF|\n"
MISALIGNED = "M:4/4\nL:1/4\nK:C\nV:1\nV:2\n[V:1]CDEFGABcdefg|[V:2]C4|\n[V:1]CDEFGABcdefg|[V:2]C4|\n"
ALONE = "M:4/4\nL:1/4\nK:C\nV:1\n"


def test_best_and_worst_of_each_prompt_are_compared(tmp_path):
    module = model()
    report = make(module, tmp_path)
    samples = RoundFiles(tmp_path).samples()
    pieces, pairs = RoundFiles(tmp_path).training()
    assert [sample.number for sample in samples] == list(range(2 * SAMPLES))
    assert len({sample.result.text for sample in samples}) == 2 * SAMPLES
    for labels in PROMPTS:
        mine = [sample for sample in samples if sample.result.labels == labels]
        chosen, rejected = (
            [s.number for s in mine if s.role == role] for role in ("chosen", "rejected")
        )
        ranked = [
            sample.number
            for sample in sorted(mine, key=lambda sample: (-sample.score, sample.number))
        ]
        assert chosen == sorted(ranked[:2])
        assert rejected == sorted(ranked[-2:])
    roles = {sample.number: (sample.role, sample.result.labels) for sample in samples}
    assert len(pairs) == 6
    for one, other in pairs:
        assert roles[pieces[one].number] == ("chosen", roles[pieces[other].number][1])
        assert roles[pieces[other].number][0] == "rejected"
    # What is trained on is what the text of a piece says, cropped where it is too long.
    texts = {sample.number: sample.result.text for sample in samples}
    cropped = set()
    for piece in pieces:
        whole = module.representation.encode_text(texts[piece.number], max_length=10_000)
        if len(whole) <= module.representation.max_length:
            assert torch.equal(piece.tokens, whole)
        else:
            assert len(piece.tokens) <= module.representation.max_length
            cropped.add(piece.number)
    assert 0 < len(cropped) < len({piece.number for piece in pieces})
    assert report["pieces"] == report["scored"] == 2 * SAMPLES
    assert report["chosen"] == report["rejected"] == 4
    by_prompt = report["by_prompt"]["Traditional / Here / jig"]
    assert by_prompt["score"] == pytest.approx(
        sum(s.score for s in samples if s.result.labels == JIG) / SAMPLES
    )
    assert RoundFiles(tmp_path).report() == report


def test_pieces_that_do_not_end_or_cannot_be_read_are_counted(tmp_path):
    def pieces(module: BarStreamModule) -> list[Generated | int]:
        cut = replace(written(module, JIG, tune(90)), stop="max_length")
        return [1, cut, of_text(module, UNREADABLE), of_text(module, MISALIGNED), 2, 3]

    module = listed(pieces)
    report = make(module, tmp_path)
    assert report["left_out"] == {
        "the piece did not come to its end": 2,
        "the piece cannot be read": 2,
        "misaligned": 2,
    }
    assert report["scored"] == 8
    samples = RoundFiles(tmp_path).samples()
    assert {
        sample.number % SAMPLES: sample.role for sample in samples if not sample.reason
    }.keys() == {0, 4, 5}
    assert all(math.isnan(sample.score) for sample in samples if sample.number % SAMPLES in (1, 2))
    # The misaligned piece has most notes, and the rule can be left out.
    loose = make(listed(pieces), tmp_path / "loose", aligned=False)
    assert "misaligned" not in loose["left_out"]
    assert {
        s.role for s in RoundFiles(tmp_path / "loose").samples() if s.number % SAMPLES == 3
    } == {"chosen"}


def test_pieces_without_bars_are_counted(tmp_path):
    report = make(
        listed(lambda module: [1, 2, 3, 4, replace(of_text(module, MISALIGNED), text=ALONE), 6]),
        tmp_path,
        aligned=False,
    )
    assert report["left_out"] == {"the piece cannot be trained on": 2}


def test_a_round_in_which_nothing_passes_says_why(tmp_path):
    module = listed(lambda one: [of_text(one, text) for text in (MISALIGNED, UNREADABLE) * 3])
    with pytest.raises(
        MusicZooError,
        match=r"of 12 pieces 6: the piece cannot be read; 4: misaligned\. Sample more",
    ):
        make(module, tmp_path)
    # The pieces are kept, so that another try does not generate them again.
    assert RoundFiles(tmp_path).chunk(0) is not None
    assert not RoundFiles(tmp_path).is_complete()


def test_equal_pieces_are_no_pair(tmp_path):
    with pytest.raises(
        MusicZooError, match="in 2 prompts the best and the worst are the same text"
    ):
        make(
            listed(lambda _: [5] * SAMPLES),
            tmp_path / "all",
            reward=lambda pieces: range(len(pieces)),
        )

    class Half(Writer):
        def piece(self, labels: Labels, rng: random.Random) -> Generated:
            return (
                super().piece(labels, rng)
                if labels == REEL
                else written(self.module, labels, tune(5))
            )

    make(model(Half), tmp_path / "half", reward=lambda pieces: range(len(pieces)))
    trained, pairs = RoundFiles(tmp_path / "half").training()
    assert len(pairs) == 6
    assert {trained[place].number >= SAMPLES for pair in pairs for place in pair} == {True}

    # The best piece came among the worst once more.
    mixed = listed(lambda _: [1, 2, 3, 4, 1, 5])
    make(
        mixed,
        tmp_path / "mixed",
        lambda pieces: [-place for place in range(len(pieces))],
        [JIG],
        60,
    )
    samples = RoundFiles(tmp_path / "mixed").samples()
    texts = {
        role: {sample.result.text for sample in samples if sample.role == role}
        for role in ("chosen", "rejected")
    }
    trained, pairs = RoundFiles(tmp_path / "mixed").training()
    found = {tuple(samples[trained[place].number].result.text for place in pair) for pair in pairs}
    assert len(texts["chosen"] & texts["rejected"]) == 1
    assert found == {
        (one, other) for one in texts["chosen"] for other in texts["rejected"] if one != other
    }


def test_a_reward_that_fails_for_some_pieces(tmp_path):
    def function(pieces: Sequence[Generated]) -> list[float]:
        if any("F4" in piece.text for piece in pieces):
            raise MusicZooError("no F4 please")
        return [math.nan if "G4" in piece.text else 1.0 / len(piece.text) for piece in pieces]

    samples = []
    report = make(model(), tmp_path, reward=function)
    for sample in RoundFiles(tmp_path).samples():
        if "F4" in sample.result.text:
            assert sample.reason == "function raised MusicZooError: no F4 please"
        elif "G4" in sample.result.text:
            assert sample.reason == "function gave nan"
        else:
            assert sample.score == 1.0 / len(sample.result.text)
            continue
        samples.append(sample)
    assert 2 <= len(samples) < 10
    assert sum(report["left_out"].values()) == len(samples)


class Broken(Reward):
    name = "broken"

    def score(self, pieces: Sequence[Generated]) -> Scores:
        raise ZeroDivisionError("oh")


def test_rewards_that_fail_altogether(tmp_path):
    with pytest.raises(MusicZooError, match=r"12: broken raised ZeroDivisionError\."):
        make(model(), tmp_path / "raises", Broken())
    with pytest.raises(ScoresError, match=r"<lambda> gave 3 scores for 12 pieces"):
        make(model(), tmp_path / "count", lambda pieces: [1.0, 2.0, 3.0])
    with pytest.raises(MusicZooError, match="12: <lambda> gave inf"):
        make(model(), tmp_path / "infinite", lambda pieces: [math.inf] * len(pieces))


class Encoder:
    """Features in which tunes differ by what letters they have."""

    def features(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.tensor(
            [[text.split("K:")[1].count(letter) + 0.1 for letter in "CDEFGAB"] for text in texts]
        )


def test_copies_are_refused_by_a_threshold_of_the_encoder(tmp_path):
    reward = CorpusSimilarity(Encoder())
    real = works(12)
    reward.prepare({labels: [work for work in real if work.labels == labels] for labels in PROMPTS})
    original = next(work for work in real if work.labels == JIG)

    def pieces(module: BarStreamModule) -> list[Generated | int]:
        return [written(module, JIG, original.tune), 101, 102, 103, 104, 105]

    report = make(listed(pieces), tmp_path, reward, [JIG], plagiarism="calibrated")
    assert report["copy_threshold"] == reward.copy_threshold() < 1
    copy = RoundFiles(tmp_path).samples()[0]
    assert copy.nearest == pytest.approx(1.0)
    assert copy.role == ""
    if copy.role != "rejected":
        assert str(copy.reason).startswith("too near to a real work: similarity 1.0000")
    with pytest.raises(MusicZooError, match="length does not give the similarity"):
        make(model(), tmp_path / "without", Length(), plagiarism=0.95)


class Length(Reward):
    name = "length"

    def score(self, pieces: Sequence[Generated]) -> Scores:
        return Scores(
            torch.tensor([float(len(piece.text)) for piece in pieces]), (None,) * len(pieces)
        )


def test_rewards_see_nothing_that_a_resumed_run_would_not_see(tmp_path):
    class Sure(Writer):
        def piece(self, labels: Labels, rng: random.Random) -> Generated:
            result = super().piece(labels, rng)
            return replace(result, log_probs=result.log_probs - 1, scored=~result.scored)

    def function(pieces: Sequence[Generated]) -> list[float]:
        return [len(piece.text) + 100 * float(piece.log_probs.sum()) for piece in pieces]

    make(model(Sure), tmp_path, function)
    first = [sample.score for sample in RoundFiles(tmp_path).samples()]
    for name in ("sequences.parquet", "pairs.parquet", "samples.parquet"):
        (tmp_path / name).unlink()
    make(model(Sure), tmp_path, function)
    assert [sample.score for sample in RoundFiles(tmp_path).samples()] == first


def test_settings_are_the_same_in_another_process(tmp_path):
    class Guard:
        pass

    one, other = (
        rounds(tmp_path, generation={"guard": Guard(), "batch_size": 4}).settings.to_dict()
        for _ in range(2)
    )
    assert one == other
    assert one["generation"]["batch_size"] == "4"
    assert one != rounds(tmp_path, generation={"guard": None, "batch_size": 4}).settings.to_dict()
