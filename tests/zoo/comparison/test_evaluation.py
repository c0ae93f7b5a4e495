"""Evaluations of models: what is measured, the same for every batch, and the divergence of two models."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

import musiczoo.comparison.scoring
import musiczoo.metrics.divergence
from musiczoo.comparison.evaluate import evaluate, portray
from musiczoo.comparison.evaluation import Evaluation, Portrait
from musiczoo.comparison.figures import PICTURES, rewards_picture
from musiczoo.comparison.soundfonts import reference_rows, sound_table
from musiczoo.comparison.tables import describe, markdown, rank_test
from musiczoo.metrics.divergence import divergence
from musiczoo.metrics.diversity import DistinctNgrams, PieceDistance
from musiczoo.metrics.midi_features import FEATURE_NAMES, MidiFeatureStatistics
from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Renderer, Rendering
from musiczoo.rewards.base import FunctionReward, Reward, Scores
from musiczoo.rewards.mixture import Mixture
from tests.soundfonts import sine_soundfont
from tests.zoo.tiny_evaluations import FULL, Loudness, prompts, remi_model

N = 12


def tokens(pieces: Sequence[Generated]) -> list[float]:
    return [float(piece.tokens.sum()) for piece in pieces]


def evaluation(name: str = "one", seed: int = 0, n: int = N, **settings: Any) -> Evaluation:
    variant = settings.pop("variant", "note")
    own: dict[str, Any] = {"reward": FunctionReward(tokens), "max_new_tokens": 40, "sampling": FULL}
    return evaluate(remi_model(seed), prompts(n, variant), name=name, **(own | settings))


@pytest.fixture
def renderer(tmp_path: Path) -> Renderer:
    return Renderer(
        Rendering(str(sine_soundfont(tmp_path / "sine.sf2")), sample_rate=8000), workers=0
    )


def test_every_prompt_has_its_own_random_numbers_whatever_is_sampled_and_scored_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = evaluation()
    monkeypatch.setattr(musiczoo.comparison.scoring, "_WINDOW", 3)
    part = evaluation(n=5, batch_size=2)
    assert part.rewards["tokens"].tolist() == whole.rewards["tokens"][:5].tolist()
    assert part.lengths.tolist() == whole.lengths[:5].tolist()
    assert evaluation(seed=1).rewards["tokens"].tolist() != whole.rewards["tokens"].tolist()
    assert np.isfinite(whole.rewards["tokens"]).all()
    assert not whole.unscored


def test_features_and_diversity_are_those_of_the_metrics() -> None:
    shown = evaluation(max_new_tokens=48)
    statistics = MidiFeatureStatistics()
    statistics.update(shown.results)
    found = statistics.compute()
    for feature in FEATURE_NAMES:
        assert np.nanmean(shown.features[feature]) == pytest.approx(found[feature].item())
    torch.testing.assert_close(
        torch.from_numpy(shown.pitches / shown.pitches.sum()), found["pitch_distribution"]
    )
    torch.testing.assert_close(
        torch.from_numpy(shown.velocities / shown.velocities.sum()), found["velocity_distribution"]
    )
    distance, ngrams = PieceDistance(), DistinctNgrams((2,))
    distance.update(shown.results)
    ngrams.update(shown.results)
    assert shown.diversity["piano_roll"] == distance.compute().item()
    assert shown.diversity["distinct_2"] == ngrams.compute()["distinct_2"].item()
    assert shown.lengths.tolist() == [len(result.tokens) - 7 for result in shown.results]
    assert shown.ended.tolist() == [int(result.tokens[-1]) == 2 for result in shown.results]
    assert shown.roll.shape == (128, 64)


def test_pieces_without_notes_are_counted_and_left_out() -> None:
    shown = evaluation(variant="bare", max_new_tokens=1)
    assert shown.left_out == {"no notes": N}
    assert all(np.isnan(values).all() for values in shown.features.values())
    assert not shown.pitches.sum()
    assert math.isnan(shown.diversity["piano_roll"])
    for draw in PICTURES.values():
        assert draw([shown]).startswith(b"\x89PNG")
    assert "no notes" in markdown(describe([shown]))


def test_the_divergence_is_that_of_the_whole_distributions() -> None:
    model, reference = remi_model(), remi_model(1)
    results = model.generate(
        prompts(6), FULL, generator=torch.Generator().manual_seed(0), max_new_tokens=30
    )
    for temperature in (1.0, 0.7):
        found, how = divergence(model, reference, results, temperature, batch_size=4)
        assert how == "exact"
        for value, result in zip(found.tolist(), results, strict=True):
            with torch.no_grad():
                mine, its = (
                    torch.distributions.Categorical(
                        logits=one.net(result.tokens[None, :-1]).logits[0].double() / temperature
                    )
                    for one in (model, reference)
                )
            apart = torch.distributions.kl_divergence(mine, its)
            assert value == pytest.approx(apart[6:].mean().item(), rel=1e-5)
    assert divergence(model, model, results)[0].abs().max() < 1e-12
    assert not model.training
    assert not reference.net.training


def test_without_logits_the_divergence_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    model, reference = remi_model(), remi_model(1)
    results = model.generate(
        prompts(64), FULL, generator=torch.Generator().manual_seed(0), max_new_tokens=50
    )
    exact = divergence(model, reference, results)[0]
    monkeypatch.setattr(musiczoo.metrics.divergence, "_distribute", lambda *models: False)
    estimate, how = divergence(model, reference, results)
    assert how == "k3"
    batch = model.representation.collate([results[3].tokens])
    ratio = (reference.log_probs(batch).values - model.log_probs(batch).values)[0, 6:].double()
    assert estimate[3].item() == pytest.approx((ratio.exp() - ratio - 1).mean().item(), rel=1e-4)
    assert estimate.mean().item() == pytest.approx(exact.mean().item(), rel=0.2)


def test_the_mean_divergence_weighs_tokens() -> None:
    shown = evaluation(reference=remi_model(1))
    assert shown.divergence is not None
    assert shown.settings["divergence"] == "exact"
    assert shown.kl == pytest.approx((shown.divergence * shown.lengths).sum() / shown.lengths.sum())
    assert math.isnan(evaluation(n=2).kl)


class Listening(Reward):
    """Notes what is begun, scored and dropped."""

    name = "listening"

    def __init__(self) -> None:
        self.renderer = self
        self.events: list[str] = []
        self.kept: set[int] = set()
        self.most = 0

    def begin(self, piece: Any) -> None:
        self.events.append("begin")
        self.kept.add(id(piece))
        self.most = max(self.most, len(self.kept))

    def forget(self) -> None:
        self.kept.clear()

    def score(self, pieces: Sequence[Generated]) -> Scores:
        assert {id(piece.piece) for piece in pieces} <= self.kept
        self.events.append("score")
        return Scores(torch.zeros(len(pieces), dtype=torch.float64), (None,) * len(pieces))


def test_rendering_goes_on_beside_sampling_and_few_clips_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(musiczoo.comparison.scoring, "_WINDOW", 4)
    reward = Listening()
    evaluation(reward=reward, batch_size=4)
    assert reward.events.count("begin") == N
    assert reward.events.count("score") == N // 4
    # The window is full after four, and scored when the fifth comes.
    assert reward.events[:6] == ["begin"] * 4 + ["score", "begin"]
    assert reward.most == 4
    assert not reward.kept


def test_a_reward_that_fails_on_some_is_counted_and_the_others_keep_theirs() -> None:
    def fussy(pieces: Sequence[Generated]) -> list[float]:
        if any(int(piece.tokens.sum()) % 2 for piece in pieces):
            raise ValueError("odd")
        return tokens(pieces)

    shown, whole = evaluation(reward=FunctionReward(fussy)), evaluation()
    odd = whole.rewards["tokens"] % 2 == 1
    assert 0 < odd.sum() < N
    assert np.isnan(shown.rewards["fussy"][odd]).all()
    assert shown.rewards["fussy"][~odd].tolist() == whole.rewards["tokens"][~odd].tolist()
    assert shown.unscored == {"fussy raised ValueError: odd": int(odd.sum())}
    described = describe([shown])
    assert described["measures"][0]["models"]["one"]["n"] == N - odd.sum()
    assert f"without a reward: {odd.sum()} x fussy raised" in markdown(described)


def test_what_cannot_be_evaluated() -> None:
    with pytest.raises(MusicZooError, match="no prompts"):
        evaluation(n=0)
    with pytest.raises(MusicZooError, match="scaled by batch"):
        evaluation(reward=Mixture({tokens: 1.0}, scale="batch"))
    with pytest.raises(MusicZooError, match="no rewards"):
        rewards_picture([evaluation(reward=None)])


def test_saved_and_loaded(tmp_path: Path) -> None:
    shown = evaluation(reference=remi_model(1), reward=FunctionReward(tokens, "a/b: c"))
    again = Evaluation.load(shown.save(tmp_path / "kept"))
    assert describe([again]) == describe([shown])
    assert (again.prompts, again.settings, again.kl) == (shown.prompts, shown.settings, shown.kl)
    np.testing.assert_array_equal(again.roll, shown.roll)
    assert not again.results
    assert all(
        draw([again, shown]) == draw([shown, shown])
        for draw in PICTURES.values()
        if draw is not rewards_picture
    )
    with pytest.raises(MusicZooError, match="no evaluation"):
        Evaluation.load(tmp_path)
    figures = json.loads((tmp_path / "kept/portrait.json").read_text())
    (tmp_path / "kept/portrait.json").write_text(json.dumps(figures | {"prompts": ["one"]}))
    with pytest.raises(MusicZooError, match="not of 1 completions"):
        Evaluation.load(tmp_path / "kept")
    (tmp_path / "kept/portrait.json").write_text(json.dumps(figures))
    (tmp_path / "kept/portrait.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(MusicZooError, match="cannot be read"):
        Evaluation.load(tmp_path / "kept")


def test_the_rank_test_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for size, other, shift in ((30, 40, 0.0), (200, 150, 0.4), (9, 8, 3.0)):
        base, tuned = rng.integers(0, 12, size).astype(float), rng.integers(0, 12, other) + shift
        more, p = rank_test(base, tuned)
        oracle = mannwhitneyu(tuned, base, alternative="two-sided", method="asymptotic")
        assert p == pytest.approx(oracle.pvalue, rel=1e-9)
        assert more == pytest.approx(oracle.statistic / (size * other))
    assert rank_test(np.ones(5), np.ones(7)) == (0.5, 1.0)
    assert math.isnan(rank_test(np.ones(0), np.ones(2))[1])


def test_models_side_by_side() -> None:
    base, tuned = evaluation("base"), evaluation("tuned", 1, reference=remi_model())
    described = describe([base, tuned])
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    row = next(row for row in described["measures"] if row["measure"] == "tokens")
    before, after = base.rewards["tokens"], tuned.rewards["tokens"]
    assert row["models"]["tuned"]["change_sd"] == pytest.approx(
        (after.mean() - before.mean()) / before.std(ddof=1)
    )
    assert row["models"]["tuned"]["more"] == pytest.approx(
        (after[:, None] > before).mean() + (after[:, None] == before).mean() / 2
    )
    assert "change" not in row["models"]["base"]
    pitches = next(row for row in described["measures"] if row["measure"] == "pitches")["models"][
        "base"
    ]
    every = np.repeat(np.arange(128), base.pitches)
    assert (pitches["mean"], pitches["sd"]) == (
        pytest.approx(every.mean()),
        pytest.approx(every.std(ddof=1)),
    )
    kl = next(row for row in described["figures"] if row["figure"] == "divergence")["models"]
    assert (kl["base"], kl["tuned"]) == (None, pytest.approx(tuned.kl))
    assert describe([base, tuned], base="tuned")["base"] == "tuned"
    text = markdown(described)
    for part in ("| measure | base | tuned |", "empty-beat rate", "one velocity", "Mann-Whitney"):
        assert part in text
    with pytest.raises(MusicZooError, match="no one base"):
        describe([base, base])
    with pytest.raises(MusicZooError, match="different prompts"):
        describe([base, evaluation("other", n=3)])
    for draw in PICTURES.values():
        assert draw([base, tuned, evaluation("third", 2)]).startswith(b"\x89PNG")


def test_the_table_of_soundfonts(renderer: Renderer, tmp_path: Path) -> None:
    other = str(sine_soundfont(tmp_path / "other.sf2"))
    pieces = [result.piece for result in evaluation(n=4).results if result.piece is not None]
    given = str(renderer.rendering.soundfont)
    rows = reference_rows(Loudness(renderer), pieces, [given, other])
    assert [(row["sound"], row["pieces"]) for row in rows] == [
        (given, 4),
        (other, 4),
        ("silence", 1),
        ("white noise", 1),
    ]
    first, second, silence, noise = (row["means"] for row in rows)
    # The same samples under two names, and the score of a sine by hand.
    assert first == second
    assert 0 < first["loudness"] < 1
    assert silence == {"loudness": 0, "high": 0}
    assert 0.1 < noise["loudness"] < 0.4
    assert first["loudness"] == pytest.approx(
        Loudness(renderer)([Generated(p, "", *[torch.zeros(0)] * 3, "end") for p in pieces]).mean()
    )
    _, header, table = sound_table(rows)
    assert header == ["sound", "scored", "loudness", "high"]
    assert table[1][0] == "other.sf2"
    mixed = reference_rows(Mixture({Loudness(renderer): 1.0, tokens: 1.0}), pieces, [given])
    assert mixed[0]["means"] == first
    assert reference_rows(FunctionReward(tokens), pieces, [given]) == []
    with pytest.raises(MusicZooError, match="does not exist"):
        reference_rows(Loudness(renderer), pieces, [given, "no-such"])
    with pytest.raises(MusicZooError, match="no pieces"):
        reference_rows(Loudness(renderer), [], [given])


def test_old_names() -> None:
    assert portray is evaluate
    assert Portrait is Evaluation
