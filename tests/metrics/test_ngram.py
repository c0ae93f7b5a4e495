from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from musiczoo.metrics import CharacterNgram
from musiczoo.music.errors import MusicZooError

START, END = "\x01", "\x02"
EVERY = [*map(chr, range(3, 128)), END]


class Plain:
    """Interpolated modified Kneser-Ney by the book, with dictionaries, fractions and recursion."""

    def __init__(self, texts: list[str], order: int) -> None:
        self.order = order
        padded = [START * (order - 1) + text + END for text in texts]
        raw = {
            n: Counter(
                text[i - n + 1 : i + 1] for text in padded for i in range(order - 1, len(text))
            )
            for n in range(1, order + 1)
        }
        before = {n: {} for n in range(1, order)}
        for n in range(2, order + 1):
            for gram in raw[n]:
                before[n - 1].setdefault(gram[1:], set()).add(gram[0])
        self.counts = {order: dict(raw[order])}
        for n in range(1, order):
            self.counts[n] = {
                gram: raw[n][gram] if gram[0] == START else len(before[n][gram]) for gram in raw[n]
            }
        self.discounts = {n: self.discount(list(self.counts[n].values())) for n in self.counts}

    def discount(self, counts: list[int]) -> list[Fraction]:
        n1, n2, n3, n4 = (counts.count(number) for number in (1, 2, 3, 4))
        if n1 and n2 and n3 and n4:
            y = Fraction(n1, n1 + 2 * n2)
            found = [
                1 - 2 * y * Fraction(n2, n1),
                2 - 3 * y * Fraction(n3, n2),
                3 - 4 * y * Fraction(n4, n3),
            ]
            if all(0 <= value <= number for number, value in enumerate(found, 1)):
                return found
        return [Fraction(1, 2), Fraction(1), Fraction(3, 2)]

    def probability(self, context: str, symbol: str) -> Fraction:
        context = (START * self.order + context)[len(context) + 1 :]
        return self.recurse(context, symbol)

    def recurse(self, context: str, symbol: str) -> Fraction:
        n = len(context) + 1
        lower = self.recurse(context[1:], symbol) if context else Fraction(1, 126)
        following = {gram: count for gram, count in self.counts[n].items() if gram[:-1] == context}
        if not following:
            return lower
        total = sum(following.values())
        discount = [Fraction(0), *self.discounts[n]]
        backoff = sum(discount[min(count, 3)] for count in following.values())
        count = following.get(context + symbol, 0)
        return (count - discount[min(count, 3)] + backoff * lower) / total


def test_bigrams_by_hand():
    # "ab" and "aa" in bigrams: ^a 2, ab 1, b$ 1, aa 1, a$ 1. Unigrams by what precedes them: a
    # after ^ and a 2, b 1, $ after b and a 2. Too few for discounts of their own, so 1/2 of a count
    # of 1 and 1 of a count of 2.
    model = CharacterNgram(["ab", "aa"], order=2)
    b = (1 - 0.5 + 2.5 / 126) / 5
    a = (2 - 1 + 2.5 / 126) / 5
    # After a: b, a and the end once each, so 3 x 1/2 goes to the unigrams. After ^: a twice.
    assert model.probabilities("ab", ended=False) == pytest.approx(
        [(2 - 1 + 1 * a) / 2, (1 - 0.5 + 1.5 * b) / 3]
    )
    assert model.probabilities("ab")[2] == pytest.approx((1 - 0.5 + 0.5 * a) / 1)
    # Of a context never seen the unigram alone is left, of an unseen symbol the uniform share.
    assert model.probabilities("zb", ended=False)[1] == pytest.approx(b)
    assert model.probabilities("zz", ended=False)[1] == pytest.approx(2.5 / 126 / 5)


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8, 9])
def test_equals_the_plain_way(order):
    rng = random.Random(order)
    texts = ["".join(rng.choices("abc|", [5, 3, 1, 1], k=rng.randrange(0, 60))) for _ in range(40)]
    plain = Plain(texts, order)
    model = CharacterNgram(texts, order=order)
    assert len(model) == sum(len(counts) for counts in plain.counts.values())
    for text in ["", "abab", "cab|", "zab", *texts[:2]]:
        expected = [
            float(plain.probability(text[:place], symbol))
            for place, symbol in enumerate(text + END)
        ]
        np.testing.assert_allclose(model.probabilities(text), expected, rtol=1e-12)
        np.testing.assert_allclose(
            model.log2_probs(text, ended=False), np.log2(expected[:-1]), rtol=1e-9, atol=1e-12
        )


def test_probabilities_sum_to_one():
    rng = random.Random(3)
    texts = ["".join(rng.choices("abcdefg|[]V:12 ", k=300)) for _ in range(60)]
    model = CharacterNgram(texts, order=8)
    for context in ["", "a", "[V:1]abc", texts[0][:40], "never seen"]:
        followed = [model.probabilities(context + symbol, ended=False)[-1] for symbol in EVERY[:-1]]
        assert sum(followed) + model.probabilities(context)[-1] == pytest.approx(1.0, abs=1e-12)


def test_discounts_of_their_own_are_used():
    # Enough text for counts of counts at every order; with the fallback's discounts the figures
    # would differ.
    rng = random.Random(0)
    texts = ["".join(rng.choices("abcdefgh", range(1, 9), k=200)) for _ in range(5)]
    plain = Plain(texts, 4)
    assert plain.discounts[4] != [Fraction(1, 2), Fraction(1), Fraction(3, 2)]
    expected = [float(plain.probability("abc"[:place], "abc"[place])) for place in range(3)]
    np.testing.assert_allclose(
        CharacterNgram(texts, order=4).probabilities("abc", ended=False), expected
    )


def test_longer_contexts_help():
    texts = ["the quick brown fox jumps over the lazy dog " * 3] * 5
    bits = [
        -CharacterNgram(texts, order=order).log2_probs(texts[0]).sum() for order in (1, 2, 4, 8)
    ]
    assert bits == sorted(bits, reverse=True)


def test_what_it_cannot_learn_from():
    with pytest.raises(MusicZooError, match="no texts"):
        CharacterNgram([])
    with pytest.raises(MusicZooError, match="order 10"):
        CharacterNgram(["a"], order=10)
    with pytest.raises(MusicZooError, match="ASCII"):
        CharacterNgram(["ä"])
    with pytest.raises(MusicZooError, match="0, 1 or 2"):
        CharacterNgram(["a"]).probabilities("a\x01")
