"""Measures of generated music and of models, as ``torchmetrics`` metrics: their states sum over batches and processes."""

from musiczoo.metrics.bar_alignment import BarAlignment, BarAlignmentError, bar_alignment
from musiczoo.metrics.bits import BitsPerSymbol
from musiczoo.metrics.copying import CopyRate, SpanIndex, longest_run, span_hashes
from musiczoo.metrics.ngram import CharacterNgram
from musiczoo.metrics.validity import Validity, is_readable

__all__ = [
    "BarAlignment",
    "BarAlignmentError",
    "BitsPerSymbol",
    "CharacterNgram",
    "CopyRate",
    "SpanIndex",
    "Validity",
    "bar_alignment",
    "is_readable",
    "longest_run",
    "span_hashes",
]
