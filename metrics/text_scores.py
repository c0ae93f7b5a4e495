"""The four figures of captions and answers, with what computed each, for a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from musiczoo.metrics.bert_score import BertScore
from musiczoo.metrics.bleu import Bleu
from musiczoo.metrics.meteor import Meteor
from musiczoo.metrics.rouge_l import RougeL
from musiczoo.metrics.text_metric import MetricRecord, TextMetric
from musiczoo.music.errors import MusicZooError

TextMetricName = Literal["bleu", "rouge_l", "meteor", "bert_score"]
TEXT_METRICS: tuple[TextMetricName, ...] = get_args(TextMetricName)


@dataclass(frozen=True, slots=True)
class TextScore:
    """A row of a table.

    Attributes:
        value: 0 to 1; NaN without texts.
        texts: Number of pairs.
        record: The program and the settings that computed it.
    """

    value: float
    texts: int
    record: MetricRecord

    def __float__(self) -> float:
        return self.value


def text_scores(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    metrics: Sequence[TextMetricName] = TEXT_METRICS,
    wordnet: bool | None = None,
    encoder: str | Path | None = None,
    layer: int | None = None,
) -> list[TextScore]:
    """BLEU-4, ROUGE-L, METEOR and BERTScore of texts.

    Args:
        predictions: The generated texts.
        references: The text that each should be.
        metrics: Which figures, in this order.
        wordnet: Whether METEOR knows synonyms, see :class:`~musiczoo.metrics.Meteor`.
        encoder: The folder of BERTScore's encoder, see :class:`~musiczoo.metrics.BertScore`.
        layer: Of that encoder.

    Returns:
        One for each metric; ``record.key`` is its name in logs and JSON.

    Raises:
        MusicZooError: There is no such metric, a library or an encoder is missing, or the texts are
            no pairs (see :meth:`TextMetric.update`).

    Example:
        >>> rows = text_scores(
        ...     ["romantic style"],
        ...     ["romantic style piano"],
        ...     metrics=("rouge_l", "meteor"),
        ...     wordnet=False,
        ... )
        >>> [(row.record.key, round(row.value, 4)) for row in rows]
        [('rouge_l', 0.8), ('meteor_exact_stem', 0.6466)]
    """
    if wrong := [name for name in metrics if name not in TEXT_METRICS]:
        raise MusicZooError(
            f"There is no metric of texts {wrong[0]!r}.",
            where="metrics",
            remedy=f"Choose from {', '.join(TEXT_METRICS)}.",
        )
    rows = []
    for name in metrics:
        metric = _metric(name, wordnet, encoder, layer)
        metric.update(predictions, references)
        rows.append(TextScore(float(metric.compute()), len(predictions), metric.record))
    return rows


def _metric(
    name: TextMetricName, wordnet: bool | None, encoder: str | Path | None, layer: int | None
) -> TextMetric:
    if name == "bleu":
        return Bleu()
    if name == "rouge_l":
        return RougeL()
    if name == "meteor":
        return Meteor(wordnet=wordnet)
    return BertScore(encoder, layer)
