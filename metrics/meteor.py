"""METEOR: words of a text that are in its reference, as they are, by stem, or by synonym."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from musiczoo.metrics.text_metric import MeanTextMetric, MetricRecord, missing_library
from musiczoo.metrics.wordnet import Synset, Thesaurus, system_wordnet
from musiczoo.music.errors import MusicZooError

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
"""Weight of recall, and exponent and weight of the penalty for scattered words: NLTK's defaults."""


class _NoSynonyms:
    """A thesaurus without words: METEOR compares words and stems alone."""

    def synsets(self, word: str) -> list[Synset]:
        return []


class Meteor(MeanTextMetric):
    """The mean over texts of METEOR by NLTK, 0 to 1.

    Lavie and Agarwal 2007 (ACL W07-0734). Words are compared in lower case: as they are, then by
    their Porter stems, then, with WordNet, by synonyms. Texts are divided by NLTK's
    ``wordpunct_tokenize`` into runs of letters and digits and runs of other signs, so that a full
    stop is no part of a word; it needs no data. NLTK looks up the synonyms of stems, not of words:
    "sorrowful" is looked up as "sorrow", and "gloomy", as "gloomi", has none.

    Figures with and without WordNet cannot be compared, and neither can be compared with those of
    the Java program METEOR 1.5. So the name and ``record.variant`` state what was computed:
    ``"exact, stem"`` or ``"exact, stem, WordNet"``.

    Args:
        wordnet: Synonyms of WordNet. True needs them, False leaves them out on every machine, and
            None takes them where the machine has them: in NLTK's data, or in Debian's package
            wordnet-base.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: NLTK is not installed, or ``wordnet`` is True and there is no WordNet.

    Example:
        >>> metric = Meteor(wordnet=False)
        >>> metric.update(["romantic style"], ["romantic style piano"])
        >>> round(metric.compute().item(), 6)
        0.646552
        >>> metric.record.name
        'METEOR (exact, stem)'
    """

    def __init__(self, *, wordnet: bool | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        try:
            import nltk
        except ImportError as error:
            raise missing_library("METEOR", "nltk") from error
        self.library_version = str(nltk.__version__)
        found = None if wordnet is False else system_wordnet()
        if wordnet and found is None:
            raise MusicZooError(
                "There is no WordNet on this machine.",
                where="wordnet",
                remedy="Install it (python -m nltk.downloader wordnet; Debian, Ubuntu: apt-get"
                " install wordnet-base), or compare words and stems alone (wordnet=False).",
            )
        self.thesaurus: Thesaurus = _NoSynonyms()
        self.source = ""
        if found is not None:
            self.thesaurus, self.source = found

    @property
    def record(self) -> MetricRecord:
        """NLTK, its version, and which words count as the same."""
        variant = "exact, stem, WordNet" if self.source else "exact, stem"
        settings = f"alpha {ALPHA:g}, beta {BETA:g}, gamma {GAMMA:g}, wordpunct_tokenize"
        if self.source:
            settings += f", {self.source}"
        return MetricRecord(f"METEOR ({variant})", "nltk", self.library_version, variant, settings)

    def _scores(self, predictions: list[str], references: list[str]) -> Iterator[float]:
        from nltk.tokenize import wordpunct_tokenize
        from nltk.translate.meteor_score import meteor_score

        for prediction, reference in zip(predictions, references, strict=True):
            yield meteor_score(
                [wordpunct_tokenize(reference)],
                wordpunct_tokenize(prediction),
                wordnet=self.thesaurus,
                alpha=ALPHA,
                beta=BETA,
                gamma=GAMMA,
            )
