from __future__ import annotations

import pytest

from musiczoo.datamodules.splits import split_by_cluster
from musiczoo.music.errors import MusicZooError

CLUSTERS = [f"corpus/{index // 3}" for index in range(3000)]


def test_no_cluster_is_in_two_splits():
    splits = split_by_cluster(CLUSTERS, validation=0.1, test=0.2)
    assert sorted(index for part in splits for index in part) == list(range(3000))
    names = [{CLUSTERS[index] for index in part} for part in splits]
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    assert [round(len(part) / 3000, 1) for part in splits] == [0.7, 0.1, 0.2]


def test_more_works_leave_the_others_where_they_are():
    before = split_by_cluster(CLUSTERS, validation=0.1, test=0.1)
    after = split_by_cluster(
        [*CLUSTERS, *(f"new/{index}" for index in range(500))], validation=0.1, test=0.1
    )
    for old, new in zip(before, after, strict=True):
        assert set(old) <= set(new)


def test_the_seed_chooses_another_division():
    assert split_by_cluster(CLUSTERS, seed=1) == split_by_cluster(CLUSTERS, seed=1)
    assert split_by_cluster(CLUSTERS, seed=1) != split_by_cluster(CLUSTERS, seed=2)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("works", [3, 4, 7])
def test_no_split_that_is_asked_for_is_empty(works, seed):
    splits = split_by_cluster(
        [str(index) for index in range(works)], validation=0.05, test=0.05, seed=seed
    )
    assert all(splits)
    assert sum(map(len, splits)) == works
    assert all(
        split_by_cluster([str(index) for index in range(works)], validation=0.9, seed=seed)[:2]
    )


@pytest.mark.parametrize(
    ("works", "validation", "test"),
    [
        (["a", "a"], 0.1, 0),
        (["a", "b"], 0.1, 0.1),
        (["a", "b"], 0.5, 0.5),
        ([], 0, 0),
        (["a"], -0.1, 0),
    ],
)
def test_too_few_works_or_impossible_parts(works, validation, test):
    with pytest.raises(MusicZooError):
        split_by_cluster(works, validation=validation, test=test)
