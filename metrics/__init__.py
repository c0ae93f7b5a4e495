"""Measures of generated music and of models, as ``torchmetrics`` metrics.

Their states sum over batches and processes.
"""

from musiczoo.metrics.bar_alignment import BarAlignment, BarAlignmentError, bar_alignment
from musiczoo.metrics.bert_score import BertScore
from musiczoo.metrics.bits import BitsPerSymbol
from musiczoo.metrics.bleu import Bleu
from musiczoo.metrics.candidate_ranking import rank_candidates
from musiczoo.metrics.clamp_score import ClampScore, clamp_scores, leave_one_out_scores
from musiczoo.metrics.closed_answers import (
    ClosedAnswers,
    TagAccuracy,
    majority_answers,
    normalised_answer,
)
from musiczoo.metrics.copying import CopyRate, SpanIndex, longest_run, span_hashes
from musiczoo.metrics.diversity import (
    DistinctNgrams,
    FeatureDistance,
    PieceDistance,
    distinct_ngrams,
    mean_pairwise_distance,
)
from musiczoo.metrics.features import Encoder, tune_features
from musiczoo.metrics.figures import Figures, ReportCard
from musiczoo.metrics.frechet import (
    FrechetDistance,
    FrechetInfinity,
    FrechetMusicDistance,
    fmd_infinity,
    frechet_distance,
    individual_distances,
)
from musiczoo.metrics.held_out import Likelihoods, PieceScore, likelihoods, piece_scores
from musiczoo.metrics.label_accuracy import LabelAccuracy, LabelProbe, label_accuracy
from musiczoo.metrics.meteor import Meteor
from musiczoo.metrics.midi_features import (
    FEATURE_NAMES,
    MidiFeatures,
    MidiFeatureStatistics,
    midi_features,
)
from musiczoo.metrics.multi_label import MultiLabelScores
from musiczoo.metrics.ngram import CharacterNgram
from musiczoo.metrics.perplexity import Perplexity
from musiczoo.metrics.piano_rolls import MeanPianoRoll, onset_roll, piano_roll
from musiczoo.metrics.report_card import report_card
from musiczoo.metrics.retrieval import RetrievalAtK, chance_average_precision
from musiczoo.metrics.rouge_l import RougeL
from musiczoo.metrics.text_metric import MetricRecord, TextMetric
from musiczoo.metrics.text_scores import TextScore, text_scores
from musiczoo.metrics.validity import Validity, is_readable

__all__ = [
    "FEATURE_NAMES",
    "BarAlignment",
    "BarAlignmentError",
    "BertScore",
    "BitsPerSymbol",
    "Bleu",
    "CharacterNgram",
    "ClampScore",
    "ClosedAnswers",
    "CopyRate",
    "DistinctNgrams",
    "Encoder",
    "FeatureDistance",
    "Figures",
    "FrechetDistance",
    "FrechetInfinity",
    "FrechetMusicDistance",
    "LabelAccuracy",
    "LabelProbe",
    "Likelihoods",
    "MeanPianoRoll",
    "Meteor",
    "MetricRecord",
    "MidiFeatureStatistics",
    "MidiFeatures",
    "MultiLabelScores",
    "Perplexity",
    "PieceDistance",
    "PieceScore",
    "ReportCard",
    "RetrievalAtK",
    "RougeL",
    "SpanIndex",
    "TagAccuracy",
    "TextMetric",
    "TextScore",
    "Validity",
    "bar_alignment",
    "chance_average_precision",
    "clamp_scores",
    "distinct_ngrams",
    "fmd_infinity",
    "frechet_distance",
    "individual_distances",
    "is_readable",
    "label_accuracy",
    "leave_one_out_scores",
    "likelihoods",
    "longest_run",
    "majority_answers",
    "mean_pairwise_distance",
    "midi_features",
    "normalised_answer",
    "onset_roll",
    "piano_roll",
    "piece_scores",
    "rank_candidates",
    "report_card",
    "span_hashes",
    "text_scores",
    "tune_features",
]
