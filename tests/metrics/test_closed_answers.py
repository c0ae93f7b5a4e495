from __future__ import annotations

import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score

from musiczoo.metrics import ClosedAnswers, majority_answers, normalised_answer
from musiczoo.music.errors import MusicZooError

TRAINING = ["yes", "Yes.", "no", "4/4", "3/4", "4/4"]
TAGS = ["major", "major", "major", "meter", "meter", "meter"]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (" Yes.\n", "yes"),
        ("YES", "yes"),
        ("yes .", "yes"),
        ("4/4", "4/4"),
        ("No. 5", "no. 5"),
        ("etc..", "etc."),
        ("yes!", "yes!"),
        (".", ""),
    ],
)
def test_answers_are_compared_without_case_outer_space_and_one_full_stop(text, plain):
    assert normalised_answer(text) == plain


def test_the_majority_answer_is_that_of_training_for_each_tag():
    assert majority_answers(TRAINING, TAGS) == {"major": "yes", "meter": "4/4"}
    # Equally frequent: the first in the alphabet, in any order.
    assert majority_answers(["b", "a"], ["t", "t"]) == {"t": "a"}
    assert majority_answers(["a", "b"], ["t", "t"]) == {"t": "a"}


def test_accuracy_beside_that_of_the_majority_answer():
    metric = ClosedAnswers(majority_answers(TRAINING, TAGS))
    asked = ["major", "major", "meter", "meter", "meter"]
    # In the test set "no" and "3/4" are the frequent ones, which training did not show.
    right = ["no", "no", "3/4", "3/4", "4/4"]
    given = ["No.", "yes", "3/4", "4/4", " 4/4"]
    metric.update(given[:3], right[:3], asked[:3])
    metric.update(given[3:], right[3:], asked[3:])
    value = metric.compute()
    assert value["accuracy"].item() == pytest.approx(60.0)
    assert value["majority"].item() == pytest.approx(20.0)
    assert value["questions"] == 5
    major, meter = metric.by_tag()["major"], metric.by_tag()["meter"]
    assert (major.questions, major.right, major.majority_right) == (2, 1, 0)
    assert (meter.questions, meter.right, meter.majority_right) == (3, 2, 1)
    assert (major.accuracy, major.majority) == (50.0, 0.0)
    assert meter.accuracy == pytest.approx(200 / 3)
    assert meter.majority == pytest.approx(100 / 3)
    assert meter.majority_answer == "4/4"


def test_it_is_scikit_learns_accuracy_and_dummy_classifier():
    training = ["a", "b", "b", "c", "b"]
    right, given = ["b", "a", "b", "c", "c", "b", "a"], ["b", "b", "c", "c", "a", "b", "a"]
    metric = ClosedAnswers(majority_answers(training, ["q"] * 5))
    metric.update(given, right, ["q"] * 7)
    dummy = DummyClassifier(strategy="most_frequent").fit([[0]] * 5, training)
    assert metric.compute()["accuracy"].item() == pytest.approx(100 * accuracy_score(right, given))
    assert metric.compute()["majority"].item() == pytest.approx(100 * dummy.score([[0]] * 7, right))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_empty_answers_are_wrong_and_tags_that_nobody_asked_are_left_out():
    metric = ClosedAnswers(majority_answers(TRAINING, TAGS))
    assert metric.compute()["accuracy"].isnan()
    metric.update([""], ["yes"], ["major"])
    assert metric.compute()["accuracy"] == 0
    assert set(metric.by_tag()) == {"major"}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_what_cannot_be_judged_is_an_error():
    metric = ClosedAnswers(majority_answers(TRAINING, TAGS))
    for arguments, message in (
        ((["yes"], ["yes"], ["majors"]), "no training answer for 'majors'.*major"),
        ((["yes"], ["yes", "no"], ["major"]), "1 answers with 2 references and 1 tags"),
        ((["yes", "no"], ["yes", " ."], ["major", "major"]), "Number 1 is empty"),
    ):
        with pytest.raises(MusicZooError, match=message):
            metric.update(*arguments)
    # Nothing of a refused batch is counted.
    assert metric.compute()["questions"] == 0
    for arguments in ((["yes"], []), ([], [])):
        with pytest.raises(MusicZooError, match="training answers"):
            majority_answers(*arguments)
    with pytest.raises(MusicZooError, match="Training answer 1 is empty"):
        majority_answers(["yes", "."], ["a", "a"])
    with pytest.raises(MusicZooError, match="no training answer"):
        ClosedAnswers({})
