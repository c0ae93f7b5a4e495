from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from musiczoo.metrics import MultiLabelScores
from musiczoo.metrics.multi_label import samples_auroc
from musiczoo.music.errors import MusicZooError

AVERAGES = ["micro", "macro", "weighted", "samples"]
TARGETS = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]])
PROBABILITIES = torch.tensor(
    [[0.9, 0.2, 0.1], [0.6, 0.4, 0.2], [0.55, 0.8, 0.1], [0.7, 0.1, 0.3], [0.8, 0.2, 0.9]]
)


def scores(probabilities, targets, batch: int = 2) -> MultiLabelScores:
    metric = MultiLabelScores([f"label {i}" for i in range(targets.shape[1])])
    for start in range(0, len(targets), batch):
        metric.update(probabilities[start : start + batch], targets[start : start + batch])
    return metric


def data(pieces: int = 60, labels: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Random labels, each piece with one to all but one, and probabilities with equal ones."""
    rng = np.random.default_rng(0)
    targets = rng.random((pieces, labels)) < np.linspace(0.2, 0.7, labels)
    targets[targets.all(axis=1), 0] = False
    targets[~targets.any(axis=1), 1] = True
    probabilities = np.round(0.4 * targets + 0.6 * rng.random((pieces, labels)), 2)
    return torch.from_numpy(probabilities), torch.from_numpy(targets).long()


def test_the_worked_example():
    """facts 7.2: TP 5, predicted 7, true 7."""
    metric = scores(PROBABILITIES, TARGETS)
    found = {name: value.item() for name, value in metric.compute().items()}
    expected = {
        "f1_micro": 0.714286,
        "f1_macro": 0.694444,
        "f1_weighted": 0.702381,
        "f1_samples": 0.666667,
        "auroc_macro": 0.944444,
        "auroc_micro": 0.910714,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert [*metric.by_label().values()] == pytest.approx([0.75, 2 / 3, 2 / 3], abs=1e-6)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("batch", [7, 60])
def test_every_average_is_scikit_learns(average, batch):
    probabilities, targets = data()
    metric = scores(probabilities, targets, batch)
    found = metric.compute()
    predicted = (probabilities > 0.5).numpy()
    f1 = f1_score(targets.numpy(), predicted, average=average)
    auc = roc_auc_score(targets.numpy(), probabilities.numpy(), average=average)
    assert found[f"f1_{average}"].item() == pytest.approx(f1, abs=1e-6)
    assert found[f"auroc_{average}"].item() == pytest.approx(auc, abs=1e-6)
    assert 0.3 < f1 < 1
    assert metric.undefined_labels == metric.undefined_pieces == 0


def test_many_pieces_are_compared_some_at_a_time(monkeypatch):
    probabilities, targets = data()
    whole = samples_auroc(probabilities, targets.bool())
    monkeypatch.setattr("musiczoo.metrics.multi_label._PAIRS", 5 * 36)
    assert torch.equal(samples_auroc(probabilities, targets.bool()), whole)


def test_a_probability_of_one_half_is_no_prediction():
    """As numpy rounds it, in MusicBERT's program."""
    half = torch.full((2, 2), 0.5)
    assert not half.numpy().round().any()
    targets = torch.tensor([[1, 0], [0, 1]])
    assert all(
        value == 0 for name, value in scores(half, targets).compute().items() if name[:2] == "f1"
    )
    assert scores(half, targets).compute()["auroc_samples"] == 0.5


def test_a_label_that_no_piece_has():
    """F1 counts 0, as in scikit-learn; its curve does not exist and is left out."""
    probabilities, targets = data()
    targets[:, 2] = 0
    metric = scores(probabilities.clamp(max=0.5), targets)
    for average in ("macro", "weighted"):
        predicted = (probabilities.clamp(max=0.5) > 0.5).numpy()
        theirs = f1_score(targets.numpy(), predicted, average=average, zero_division=0)
        assert metric.compute()[f"f1_{average}"].item() == pytest.approx(theirs)
    metric = scores(probabilities, targets)
    kept = [0, 1, 3, 4, 5]
    for average in ("macro", "weighted"):
        theirs = roc_auc_score(targets[:, kept], probabilities[:, kept], average=average)
        assert metric.compute()[f"auroc_{average}"].item() == pytest.approx(theirs, abs=1e-6)
    assert metric.undefined_labels == 1


def test_pieces_with_all_labels_or_none_have_no_curve():
    probabilities, targets = data()
    usual = scores(probabilities, targets).compute()["auroc_samples"]
    more = torch.cat([probabilities, torch.rand(2, 6, dtype=torch.float64)])
    metric = scores(more, torch.cat([targets, torch.zeros(1, 6).long(), torch.ones(1, 6).long()]))
    assert metric.compute()["auroc_samples"].item() == pytest.approx(usual.item())
    assert metric.undefined_pieces == 2
    # The F1 of a piece without labels, of which none is predicted, is 0 as in scikit-learn.
    nothing = scores(torch.full((1, 2), 0.1), torch.zeros(1, 2).long())
    assert nothing.compute()["f1_samples"] == 0
    assert nothing.compute()["auroc_micro"].isnan()
    assert nothing.compute()["auroc_macro"].isnan()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_pieces_have_no_value():
    metric = MultiLabelScores(["a", "b"])
    assert len(metric.compute()) == 8
    assert all(value.isnan() for value in metric.compute().values())
    assert all(math.isnan(value) for value in metric.by_label().values())


def test_what_cannot_be_judged_is_an_error():
    metric = MultiLabelScores(["a", "b"])
    good, targets = torch.tensor([[0.1, 0.9]]), torch.tensor([[0, 1]])
    for arguments, message in (
        ((good, targets[:, :1]), r"\(1, 2\) with targets \(1, 1\)"),
        ((good[0], targets[0]), "Give \\(pieces, 2\\)"),
        ((good * 3, targets), "sigmoid"),
        ((good * torch.nan, targets), "sigmoid"),
        ((good, targets * 2), "not 0 or 1"),
    ):
        with pytest.raises(MusicZooError, match=message):
            metric.update(*arguments)
    for labels in ([], ["a"], ["a", "a"]):
        with pytest.raises(MusicZooError, match="two or more different labels"):
            MultiLabelScores(labels)
    with pytest.raises(MusicZooError, match="threshold"):
        MultiLabelScores(["a", "b"], threshold=1.5)
