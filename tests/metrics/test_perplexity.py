from __future__ import annotations

import math

import pytest
import torch
import torchmetrics.text

from musiczoo.metrics import BitsPerSymbol, Perplexity
from musiczoo.models.base.objective import TokenLogProbs
from musiczoo.music.errors import MusicZooError


def test_worked_example_and_torchmetrics_own():
    generator = torch.Generator().manual_seed(0)
    logits, targets = (
        torch.randn(3, 5, 7, generator=generator),
        torch.randint(7, (3, 5), generator=generator),
    )
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1, 3:] = mask[2, :1] = False
    theirs = torchmetrics.text.Perplexity(ignore_index=-100)
    theirs.update(logits, targets.masked_fill(~mask, -100))
    values = logits.log_softmax(-1).gather(2, targets.unsqueeze(2)).squeeze(2) * mask
    ours = Perplexity()
    ours.update(TokenLogProbs(values, mask))
    assert ours.compute().item() == pytest.approx(theirs.compute().item(), abs=1e-5)
    one = Perplexity()
    one.update(
        TokenLogProbs(
            torch.tensor([[0.7, 0.8, 0.5, 1.0]]).log(), torch.tensor([[True, True, True, False]])
        )
    )
    assert one.compute().item() == pytest.approx(1.528554, abs=1e-6)


@pytest.mark.parametrize(("average", "expected"), [("micro", 2.013753), ("macro", 3.065205)])
def test_the_two_averages_differ(average, expected):
    values = torch.zeros(2, 10)
    mask = torch.zeros(2, 10, dtype=torch.bool)
    # Perplexities e^1 and e^0.5 would be close; a mean of 1.5 nats over two targets, and of 0.5
    # over eight, are not.
    values[0, :2], mask[0, :2] = -1.5, True
    values[1, :8], mask[1, :8] = -0.5, True
    metric = Perplexity(average=average)
    metric.update(TokenLogProbs(values[:1], mask[:1]))
    metric.update(TokenLogProbs(values[1:], mask[1:]))
    assert metric.compute().item() == pytest.approx(expected, abs=1e-6)
    at_once = Perplexity(average=average)
    at_once.update(values.double().sum(1), symbols=[2, 8])
    assert at_once.compute().item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_bits_and_perplexity_are_one_thing_for_one_piece(average):
    bits, perplexity = BitsPerSymbol("bar", average), Perplexity("bar", average)
    for metric in (bits, perplexity):
        metric.update(torch.tensor([-12.5]), symbols=5)
    assert 2 ** bits.compute().item() == pytest.approx(perplexity.compute().item(), abs=1e-9)
    assert perplexity.compute().item() == pytest.approx(math.exp(2.5), abs=1e-6)


def test_macro_bits_are_the_mean_over_pieces():
    metric = BitsPerSymbol("note", "macro")
    metric.update(torch.tensor([-2.0, -9.0]) * math.log(2), symbols=torch.tensor([1, 3]))
    metric.update(torch.tensor([-8.0]) * math.log(2), symbols=2)
    # A piece without a symbol and without cost has no figure of its own.
    metric.update(torch.zeros(1), symbols=[0])
    assert metric.compute().item() == pytest.approx((2 + 3 + 4) / 3, abs=1e-6)


@pytest.mark.parametrize("kind", [BitsPerSymbol, Perplexity])
def test_counts_that_do_not_fit_are_told(kind):
    with pytest.raises(MusicZooError, match="micro or macro"):
        kind(average="mean")
    for symbols, said in (
        (3, "One count for 2 texts"),
        ([1, 2, 3], "3 counts for 2 texts"),
        ([1, 0], "0 symbols"),
        (None, "symbols=N"),
    ):
        with pytest.raises(MusicZooError, match=said):
            kind(average="macro").update(torch.tensor([-1.0, -2.0]), symbols=symbols)
    with pytest.raises(MusicZooError, match="-2 symbols"):
        kind().update(torch.tensor([-1.0, -2.0]), symbols=-2)
