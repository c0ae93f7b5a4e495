from __future__ import annotations

from itertools import combinations

import pytest
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import retrieval_recall

from musiczoo.metrics import RetrievalAtK, chance_average_precision
from musiczoo.music.errors import MusicZooError


def group(size: int, ranks: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores of candidates of which those at these ranks, from 1, are right ones, shuffled."""
    order = torch.randperm(size, generator=torch.Generator().manual_seed(sum(ranks)))
    labels = torch.zeros(size, dtype=torch.long)
    labels[[rank - 1 for rank in ranks]] = 1
    return -torch.arange(size, dtype=torch.float32)[order], labels[order]


def figures(groups, ks=(1, 5, 10, 25)) -> dict[str, float]:
    metric = RetrievalAtK(ks)
    for number, (scores, labels) in enumerate(groups):
        metric.update(scores, labels, torch.full(labels.shape, number))
    return {name: value.item() for name, value in metric.compute().items()}


def test_the_worked_example_of_fifty_candidates():
    """facts: true ranks 1, 3, 12 and 40 give MAP .3604167, HITS@1/5/10/25 .25/.5/.5/.75."""
    found = figures([group(50, [rank]) for rank in (1, 3, 12, 40)])
    assert found["map"] == pytest.approx(0.3604167, abs=1e-7)
    assert [found[f"hits@{k}"] for k in (1, 5, 10, 25)] == [0.25, 0.5, 0.5, 0.75]


def test_the_worked_example_of_two_right_ones():
    """facts: of 5 at ranks 1 and 4: AP .75, HITS@1 .5, where a hit rate would be 1."""
    found = figures([group(5, [1, 4])], ks=(1, 3, 4))
    assert found == {"map": 0.75, "hits@1": 0.5, "hits@3": 0.5, "hits@4": 1.0}


@pytest.mark.parametrize("place", [0, 3, 49])
@pytest.mark.parametrize("score", [0.0, -0.0, float("inf"), float("-inf")])
def test_equal_scores_count_at_their_worst_wherever_the_right_one_is(place, score):
    labels = torch.zeros(50, dtype=torch.bool)
    labels[place] = True
    found = figures([(torch.full((50,), score), labels)], ks=(1, 49, 50))
    assert found == {"map": 1 / 50, "hits@1": 0.0, "hits@49": 0.0, "hits@50": 1.0}
    assert found["map"] < chance_average_precision(50)


def test_it_is_scikit_learn_and_torchmetrics_where_no_scores_are_equal():
    generator = torch.Generator().manual_seed(0)
    groups, precisions, recalls = [], [], []
    for size in (3, 8, 20, 50, 1):
        scores = torch.rand(size, generator=generator)
        labels = (torch.rand(size, generator=generator) < 0.3).long()
        labels[0] = 1
        groups.append((scores, labels))
        precisions.append(average_precision_score(labels, scores))
        recalls.append(retrieval_recall(scores, labels, top_k=4).item())
    found = figures(groups, ks=(4,))
    assert found["map"] == pytest.approx(sum(precisions) / 5, abs=1e-6)
    assert found["hits@4"] == pytest.approx(sum(recalls) / 5, abs=1e-6)


def test_a_group_may_be_cut_by_batches_and_numbers_need_no_order():
    groups = [group(9, [2, 5]), group(4, [3]), group(7, [1, 6, 7])]
    whole = figures(groups, ks=(1, 3))
    scores = torch.cat([scores for scores, _ in groups])
    labels = torch.cat([labels for _, labels in groups])
    numbers = torch.tensor([7] * 9 + [-2] * 4 + [2**40] * 7)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    metric = RetrievalAtK((1, 3))
    for some in order.split(6):
        metric.update(scores[some], labels[some], numbers[some])
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx(whole)


def test_chance_is_the_mean_over_all_orders():
    """facts: of 50 candidates .0899841, HITS .02, .1, .2, .5."""
    assert chance_average_precision(50) == pytest.approx(0.0899841, abs=1e-7)
    for size, positives in ((5, 2), (6, 3), (4, 4), (1, 1)):
        found = [
            figures([group(size, list(ranks))], ks=(2,))
            for ranks in combinations(range(1, size + 1), positives)
        ]
        mean = sum(one["map"] for one in found) / len(found)
        assert chance_average_precision(size, positives) == pytest.approx(mean)
    metric = RetrievalAtK()
    scores, labels = group(50, [3])
    metric.update(scores, labels, torch.zeros(50, dtype=torch.long))
    assert metric.chance() == pytest.approx(
        {"map": 0.0899841, "hits@1": 0.02, "hits@5": 0.1, "hits@10": 0.2, "hits@25": 0.5}, abs=1e-7
    )


def test_groups_without_a_right_one_are_left_out_and_counted():
    metric = RetrievalAtK((1,))
    metric.update(
        torch.tensor([0.1, 0.2, 0.9, 0.3]), torch.tensor([0, 0, 1, 0]), torch.tensor([0, 0, 1, 1])
    )
    assert metric.compute()["map"] == 1
    assert metric.skipped == 1
    assert metric.describe().startswith(
        "1 group of 2 candidates, 1 without a right one left out, equal scores at their worst;"
        " chance: map 0.7500, hits@1 0.5000"
    )


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_groups_have_no_value():
    metric = RetrievalAtK((1,))
    assert all(value.isnan() for value in metric.compute().values())
    assert metric.describe().startswith("0 groups of 0 candidates")
    metric.update(torch.zeros(0), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    assert metric.compute()["map"].isnan()


def test_what_cannot_be_ranked_is_an_error():
    metric = RetrievalAtK()
    two, ids = torch.tensor([0.1, 0.2]), torch.tensor([0, 0])
    for arguments, message in (
        ((two, ids[:1], ids), "shapes"),
        ((two.reshape(1, 2), ids.reshape(1, 2), ids.reshape(1, 2)), "flatten"),
        ((two, ids, two), "integers"),
        ((two, ids, ids + 2**60), "2\\^53"),
        ((torch.tensor([0.1, torch.nan]), ids, ids), "NaN"),
        ((two, torch.tensor([1, 2]), ids), "neither right nor wrong"),
    ):
        with pytest.raises(MusicZooError, match=message):
            metric.update(*arguments)
    for ks in ((), (0,)):
        with pytest.raises(MusicZooError, match="no HITS@k"):
            RetrievalAtK(ks)
    for arguments in ((5, 0), (5, 6), (0, 0)):
        with pytest.raises(MusicZooError, match="cannot be ranked"):
            chance_average_precision(*arguments)
