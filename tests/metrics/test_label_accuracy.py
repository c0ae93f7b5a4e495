from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import StandardScaler

from musiczoo.metrics import LabelAccuracy, LabelProbe, label_accuracy
from musiczoo.music.errors import MusicZooError

KINDS = ["jig", "march", "reel"]


def works(n: int = 90, dimensions: int = 20, seed: int = 0) -> tuple[torch.Tensor, list[str]]:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 3, size=n)
    centres = np.random.default_rng(77).normal(size=(3, dimensions))
    return torch.from_numpy(centres[places] + 1.5 * rng.normal(size=(n, dimensions))), [
        KINDS[place] for place in places
    ]


@pytest.mark.parametrize("penalty", [1.0, 0.05])
@pytest.mark.parametrize("dimensions", [20, 200])
def test_the_probe_is_scikit_learns_logistic_regression(penalty, dimensions):
    features, labels = works(dimensions=dimensions)
    others, _ = works(dimensions=dimensions, seed=1)
    scaler = StandardScaler().fit(features.numpy())
    theirs = LogisticRegression(
        C=1 / penalty, solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(scaler.transform(features.numpy()), labels)
    expected = theirs.predict_log_proba(scaler.transform(others.numpy()))
    probe = LabelProbe.fit(features, labels, penalty=penalty)
    assert probe.classes == tuple(theirs.classes_)
    assert probe.log_probs(others).numpy() == pytest.approx(expected, abs=1e-5)
    assert probe.predict(others) == theirs.predict(scaler.transform(others.numpy())).tolist()


def test_the_same_works_give_the_same_probe_in_any_order():
    features, labels = works()
    probe, again = LabelProbe.fit(features, labels), LabelProbe.fit(features, labels)
    assert torch.equal(probe.weight, again.weight)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).tolist()
    shuffled = LabelProbe.fit(features[order], [labels[place] for place in order])
    assert torch.allclose(probe.weight, shuffled.weight, atol=1e-6)


def test_a_dimension_that_never_changes_says_nothing():
    features, labels = works()
    wider = torch.cat([features, torch.full((len(features), 1), 0.1, dtype=torch.float64)], dim=1)
    probe, other = LabelProbe.fit(features, labels), LabelProbe.fit(wider, labels)
    assert torch.allclose(probe.weight, other.weight[:, :-1], atol=1e-6)
    assert other.log_probs(wider).isfinite().all()


def test_accuracy_and_macro_f1_are_scikit_learns():
    rng = np.random.default_rng(2)
    for _ in range(20):
        asked = [KINDS[place] for place in rng.integers(0, rng.integers(1, 4), size=8)]
        given = [KINDS[place] for place in rng.integers(0, 3, size=8)]
        accuracy, f1 = label_accuracy(given, asked)
        assert accuracy == pytest.approx(accuracy_score(asked, given), abs=1e-12)
        assert f1 == pytest.approx(f1_score(asked, given, average="macro"), abs=1e-12)


def test_the_metric_judges_pieces_by_what_was_asked():
    probe = LabelProbe.fit(*works())
    features, asked = works(n=30, seed=3)
    asked[:5] = ["reel"] * 5
    metric = LabelAccuracy(probe)
    metric.update(features[:11], asked[:11])
    metric.update(
        torch.cat([features[11:], torch.full((1, 20), torch.nan, dtype=torch.float64)]),
        [*asked[11:], "jig"],
    )
    given = probe.predict(features)
    found = metric.compute()
    assert found["accuracy"].item() == pytest.approx(100 * accuracy_score(asked, given), abs=1e-9)
    assert found["macro_f1"].item() == pytest.approx(
        100 * f1_score(asked, given, average="macro"), abs=1e-9
    )
    for kind, percent in metric.by_label().items():
        of_kind = [one == kind for one, label in zip(given, asked, strict=True) if label == kind]
        assert percent == pytest.approx(100 * np.mean(of_kind), abs=1e-9)
    assert metric.skipped == 1
    # A label that nobody asked for or gave is in no mean.
    two = [place for place, label in enumerate(given) if "march" not in (label, asked[place])]
    some = LabelAccuracy(probe)
    some.update(features[two], [asked[place] for place in two])
    expected = f1_score(
        [asked[place] for place in two], [given[place] for place in two], average="macro"
    )
    assert some.compute()["macro_f1"].item() == pytest.approx(100 * expected, abs=1e-9)
    assert "march" not in some.by_label()
    assert LabelAccuracy(probe).compute()["accuracy"].isnan()


def test_what_cannot_be_judged_is_told():
    features, labels = works()
    probe = LabelProbe.fit(features, labels)
    metric = LabelAccuracy(probe)
    with pytest.raises(MusicZooError, match=r"does not know 'reels'\. It knows reel"):
        metric.update(features[:1], ["reels"])
    with pytest.raises(MusicZooError, match="2 pieces with 1 labels"):
        metric.update(features[:2], ["reel"])
    with pytest.raises(MusicZooError, match="one encoder"):
        metric.update(torch.ones(1, 3), ["reel"])
    for arguments, said in (
        ((features, labels[1:]), "90 works with 89 labels"),
        ((features, ["reel"] * 90), "nothing to distinguish"),
        ((torch.full((90, 3), torch.nan), labels), "nothing to distinguish"),
    ):
        with pytest.raises(MusicZooError, match=said):
            LabelProbe.fit(*arguments)
    with pytest.raises(MusicZooError, match="penalty"):
        LabelProbe.fit(features, labels, penalty=0)
    with pytest.raises(MusicZooError, match="0 pieces"):
        label_accuracy([], [])
