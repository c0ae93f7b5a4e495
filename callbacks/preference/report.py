"""The report of a preference round: pieces, scores and reasons, together and by prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from musiczoo.callbacks.preference.files import Sample
from musiczoo.callbacks.prompts.records import prompt_text


def round_report(
    samples: Sequence[Sample], rules: Mapping[str, Any], vocabulary: Sequence[str] | None
) -> dict[str, Any]:
    """Counts and mean scores of a round, as plain JSON values.

    Args:
        samples: All pieces.
        rules: What the rules of admission record.
        vocabulary: The tokens by id, where the representation has some, to name prompts by.

    Returns:
        ``pieces``, ``scored``, ``score``, ``chosen``, ``rejected``, ``prompts``, ``left_out``
        (reasons counted), what the rules record, and ``by_prompt``.
    """
    by_prompt: dict[str, list[Sample]] = {}
    for sample in samples:
        by_prompt.setdefault(prompt_text(sample.result.prompt, vocabulary), []).append(sample)
    rows = {name: _counts(some) for name, some in by_prompt.items()}
    means = [row["score"] for row in rows.values() if row["scored"]]
    return {
        **_counts(samples),
        "prompts": len(rows),
        # The mean over prompts, as NotaGen reports it.
        "score": sum(means) / len(means) if means else float("nan"),
        "left_out": dict(counted_reasons(samples)),
        **rules,
        "by_prompt": rows,
    }


def counted_reasons(samples: Sequence[Any]) -> Counter[str]:
    """How often each ``reason`` of samples occurs, by what stands before its first colon."""
    return Counter(sample.reason.partition(":")[0] for sample in samples if sample.reason)


def _counts(samples: Sequence[Sample]) -> dict[str, Any]:
    scores = [sample.score for sample in samples if sample.score == sample.score]
    return {
        "pieces": len(samples),
        "scored": len(scores),
        "score": sum(scores) / len(scores) if scores else float("nan"),
        "chosen": sum(sample.role == "chosen" for sample in samples),
        "rejected": sum(sample.role == "rejected" for sample in samples),
    }
