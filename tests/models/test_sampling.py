"""Cuts and draws against a step-by-step numpy rendering of the rules, and their behaviour at the edges of arithmetic."""

import numpy as np
import pytest
import torch

from musiczoo.models.sampling import GREEDY, Sampling, distribution, draw


def by_hand(logits, k, p, minimum, temperature):
    """Top-k, top-p, min-p, temperature on one row of probabilities, renormalised after each."""
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    if k:
        keep = np.argsort(probabilities, kind="stable")[-k:]
        probabilities = np.where(np.isin(np.arange(len(logits)), keep), probabilities, 0)
        probabilities /= probabilities.sum()
    if 0 < p < 1:
        order = np.argsort(probabilities, kind="stable")[::-1]
        cut = int(np.argmax(np.cumsum(probabilities[order]) > p)) + 1
        probabilities = np.where(np.isin(np.arange(len(logits)), order[:cut]), probabilities, 0)
        probabilities /= probabilities.sum()
    probabilities = np.where(probabilities < minimum * probabilities.max(), 0, probabilities)
    probabilities = np.where(probabilities > 0, probabilities ** (1 / temperature), 0)
    return probabilities / probabilities.sum()


@pytest.mark.parametrize(
    ("k", "p", "minimum", "temperature"),
    [
        (9, 0.9, 0, 1.2),
        (0, 0.9, 0, 1.0),
        (5, 0, 0, 0.7),
        (0, 1.0, 0.1, 1.5),
        (3, 0.5, 0.2, 2.0),
        (0, 0, 0, 1.0),
    ],
)
def test_cuts(k, p, minimum, temperature):
    logits = torch.randn(20, 128, generator=torch.Generator().manual_seed(k)) * 3
    got = distribution(logits, Sampling(k, p, minimum, temperature))
    for row, wanted in zip(got.numpy(), logits.double().numpy(), strict=True):
        np.testing.assert_allclose(row, by_hand(wanted, k, p, minimum, temperature), atol=1e-12)


def test_ties_go_to_the_higher_id():
    got = distribution(torch.zeros(4), Sampling(top_k=1, top_p=0, temperature=1.0))
    assert got.tolist() == [0, 0, 0, 1]


def test_greedy():
    logits = torch.randn(50, 128, generator=torch.Generator().manual_seed(0))
    assert torch.equal(draw(distribution(logits, GREEDY), torch.rand(50)), logits.argmax(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "sampling",
    [Sampling(), Sampling(0, 0, 0, 0.01), Sampling(0, 0, 0, 0), Sampling(9, 0.9, 0.1, 100.0)],
)
def test_never_nan(dtype, sampling):
    rows = torch.zeros(5, 128)
    rows[0, 3] = float("nan")
    rows[1] = float("-inf")
    rows[2, 5] = float("inf")
    rows[3] = float("nan")
    rows[4, :] = torch.linspace(-6e4, 6e4, 128)
    got = distribution(rows.to(dtype), sampling)
    torch.testing.assert_close(got.sum(-1), torch.ones(5, dtype=torch.float64))
    assert got[0, 3] == 0
    assert int(got[2].argmax()) == 5
    tokens = draw(got, torch.tensor([0.0, 0.999999, 1 - 2**-53, 0.5, 0.3], dtype=torch.float64))
    assert (got.gather(1, tokens.unsqueeze(1)) > 0).all()


def test_allowed_is_a_wall():
    logits = torch.zeros(3, 8)
    logits[:, 0] = 50.0
    allowed = torch.zeros(3, 8, dtype=torch.bool)
    allowed[:, 4] = allowed[:2, 6] = True
    got = distribution(logits, Sampling(top_k=1), allowed)
    assert (got[:, 0] == 0).all()
    assert got[2, 4] == 1


def test_draw_follows_the_distribution():
    probabilities = torch.tensor([0.1, 0.0, 0.6, 0.3], dtype=torch.float64)
    uniforms = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    counts = torch.bincount(draw(probabilities.expand(100_000, 4), uniforms), minlength=4)
    assert counts.tolist() == [10_000, 0, 60_000, 30_000]
