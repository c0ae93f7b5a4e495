"""ROUGE-L: the longest common subsequence of the words of a text and its reference."""

from __future__ import annotations

from collections.abc import Iterator

import torchmetrics

from musiczoo.metrics.text_metric import MeanTextMetric, MetricRecord


class RougeL(MeanTextMetric):
    """The mean over texts of the F-measure of ROUGE-L, by torchmetrics, 0 to 1.

    Lin 2004 (ACL W04-1013), with precision and recall weighted alike. Words are runs of a to z and
    0 to 9 in lower case, without stemming, as in the package rouge-score: of "C♯ minor" remain
    "c" and "minor". A text without such words scores 0. It is not ROUGE-Lsum, which splits a text
    into sentences first.

    Args:
        settings: Of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = RougeL()
        >>> metric.update(
        ...     ["the piece is a slow waltz in a minor key", "romantic style"],
        ...     ["the piece is a slow sad waltz in minor", "romantic style piano"],
        ... )
        >>> round(metric.compute().item(), 6)
        0.821053
    """

    @property
    def record(self) -> MetricRecord:
        """Torchmetrics and its version."""
        return MetricRecord(
            "ROUGE-L", "torchmetrics", torchmetrics.__version__, "F, no stemmer", "mean of texts"
        )

    def _scores(self, predictions: list[str], references: list[str]) -> Iterator[float]:
        from torchmetrics.functional.text import rouge_score

        for prediction, reference in zip(predictions, references, strict=True):
            # The default keys include rougeLsum, for which torchmetrics downloads NLTK data.
            found = rouge_score(prediction, reference, use_stemmer=False, rouge_keys="rougeL")
            yield float(found["rougeL_fmeasure"])
