from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from musiczoo.metrics import ClampScore, clamp_scores, leave_one_out_scores
from musiczoo.music.errors import MusicZooError


def test_worked_example():
    scores = clamp_scores(
        torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    )
    assert scores.tolist() == pytest.approx([0.7071068], abs=1e-7)


def test_scores_are_scikit_learns_cosines_with_the_mean_of_features_as_they_are():
    rng = np.random.default_rng(0)
    pieces, references = (
        rng.normal(size=(7, 24)),
        rng.normal(size=(9, 24)) * rng.uniform(0.1, 10, size=(9, 1)),
    )
    expected = cosine_similarity(pieces, references.mean(axis=0, keepdims=True))[:, 0]
    assert clamp_scores(
        torch.from_numpy(pieces), torch.from_numpy(references)
    ).numpy() == pytest.approx(expected, abs=1e-12)
    normalised = references / np.linalg.norm(references, axis=1, keepdims=True)
    assert (
        abs(
            cosine_similarity(pieces, normalised.mean(axis=0, keepdims=True))[:, 0] - expected
        ).max()
        > 0.01
    )


def test_leave_one_out_is_each_piece_against_the_others():
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    features[2] = torch.nan
    whole = [place for place in range(5) if place != 2]
    scores = leave_one_out_scores(features)
    assert scores[2].isnan()
    for place in whole:
        others = features[[other for other in whole if other != place]]
        assert scores[place] == pytest.approx(
            clamp_scores(features[place : place + 1], others).item(), abs=1e-12
        )
    assert leave_one_out_scores(features[:1]).isnan().all()


def test_the_average_is_over_prompts_and_the_pooled_one_over_pieces():
    generator = torch.Generator().manual_seed(1)
    references = {name: torch.randn(4, 6, generator=generator) for name in ("reel", "jig", "march")}
    features, prompts = (
        torch.randn(5, 6, generator=generator),
        ["reel", "jig", "reel", "reel", "jig"],
    )
    scores = torch.cat(
        [
            clamp_scores(row.unsqueeze(0), references[prompt])
            for row, prompt in zip(features, prompts, strict=True)
        ]
    )
    metric = ClampScore(references)
    metric.update(features[:2], prompts[:2])
    metric.update(features[2:], prompts[2:])
    found = metric.compute()
    by_prompt = {
        name: scores[[prompt == name for prompt in prompts]].mean().item()
        for name in ("reel", "jig")
    }
    assert found["average"].item() == pytest.approx(sum(by_prompt.values()) / 2, abs=1e-12)
    assert found["pooled"].item() == pytest.approx(scores.mean().item(), abs=1e-12)
    assert metric.by_prompt() == pytest.approx(by_prompt, abs=1e-12)


def test_pieces_without_features_are_left_out_and_counted():
    metric = ClampScore(torch.tensor([[1.0, 0.0], [torch.nan, 0.0]]))
    metric.update(torch.tensor([[2.0, 0.0], [torch.nan, 1.0], [torch.inf, 1.0], [0.0, 0.0]]))
    assert metric.compute()["pooled"] == 1.0
    assert metric.skipped == 3
    assert ClampScore(torch.ones(1, 2)).compute()["average"].isnan()


def test_what_cannot_be_compared_is_told():
    metric = ClampScore({"O'Neill, reel": torch.ones(2, 3)})
    with pytest.raises(
        MusicZooError, match=r"O'Neill, rel has no references\. There are O'Neill, reel"
    ):
        metric.update(torch.ones(1, 3), ["O'Neill, rel"])
    with pytest.raises(MusicZooError, match="2 pieces with 1 prompts"):
        metric.update(torch.ones(2, 3), ["O'Neill, reel"])
    with pytest.raises(MusicZooError, match="one encoder"):
        metric.update(torch.ones(2, 4), ["O'Neill, reel"] * 2)
    with pytest.raises(MusicZooError, match="one encoder"):
        ClampScore({"a": torch.ones(2, 3), "b": torch.ones(2, 4)})
    for references in ({}, {"a": torch.full((1, 3), torch.nan)}):
        with pytest.raises(MusicZooError, match="no reference"):
            ClampScore(references)
    with pytest.raises(MusicZooError, match="no reference"):
        clamp_scores(torch.ones(1, 3), torch.ones(0, 3))
    with pytest.raises(MusicZooError, match="one encoder"):
        clamp_scores(torch.ones(3), torch.ones(2, 3))
