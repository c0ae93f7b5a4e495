"""BLEU: how many words and sequences of words of texts are in their references."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from musiczoo.metrics.text_metric import MetricRecord, TextMetric, missing_library

ORDERS = 4
"""The longest n-grams that are counted, as in Papineni et al."""


class Bleu(TextMetric):
    """Corpus BLEU-4 by sacrebleu, 0 to 1.

    Papineni et al. 2002 (ACL P02-1040): the geometric mean of the precisions of n-grams of 1 to 4
    words, times the brevity penalty. Counts are summed over all texts first, so that the figure
    depends neither on batches nor on processes. Tokenizer 13a, case kept, exponential smoothing:
    the defaults of sacrebleu (Post 2018, arXiv 1804.08771), which prints 100 times this number.

    It is not the mean of BLEU of single texts, and not NLTK's, which differs on short texts.

    Args:
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: sacrebleu is not installed.

    Example:
        >>> metric = Bleu()
        >>> metric.update(
        ...     ["the piece is a slow waltz in a minor key", "romantic style"],
        ...     ["the piece is a slow sad waltz in minor", "romantic style piano"],
        ... )
        >>> round(metric.compute().item(), 6)
        0.481098
        >>> metric.record.variant
        'corpus, 13a'
    """

    matches: Tensor
    ngrams: Tensor
    words: Tensor
    reference_words: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        try:
            import sacrebleu
            from sacrebleu.metrics.bleu import BLEU
        except ImportError as error:
            raise missing_library("BLEU", "sacrebleu") from error
        # force: no warning for texts that seem tokenized already.
        self.scorer = BLEU(tokenize="13a", max_ngram_order=ORDERS, force=True)
        self.library_version = sacrebleu.__version__
        for name in ("matches", "ngrams"):
            self.add_state(name, torch.zeros(ORDERS, dtype=torch.int64), dist_reduce_fx="sum")
        for name in ("words", "reference_words"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    @property
    def record(self) -> MetricRecord:
        """sacrebleu, its version and its signature."""
        # The number of references that sacrebleu writes into a signature is that of its last call.
        signature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"
        return MetricRecord("BLEU-4", "sacrebleu", self.library_version, "corpus, 13a", signature)

    def compute(self) -> Tensor:
        """Scalar float64, 0 to 1; NaN before the first text."""
        if not self.reference_words:
            return self.words.new_tensor(torch.nan, dtype=torch.float64)
        score = self.scorer.compute_bleu(
            self.matches.tolist(),
            self.ngrams.tolist(),
            int(self.words),
            int(self.reference_words),
            smooth_method="exp",
            max_ngram_order=ORDERS,
        ).score
        return self.words.new_tensor(score / 100, dtype=torch.float64)

    def _add(self, predictions: list[str], references: list[str]) -> None:
        found = self.scorer.corpus_score(predictions, [references])
        self.matches += torch.tensor(found.counts).to(self.matches)
        self.ngrams += torch.tensor(found.totals).to(self.ngrams)
        self.words += found.sys_len
        self.reference_words += found.ref_len
