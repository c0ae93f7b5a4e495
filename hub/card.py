"""The model card: what a reader must know before using the weights, from what was recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from musiczoo.hub.card_fields import Card, Figure, Source
from musiczoo.hub.registry import ARCHITECTURES

__all__ = ["Card", "Figure", "Source", "base_of", "render_card"]

_PROMPTS_SHOWN = 60
_INTENDED_USE = (
    "Writing and continuing sheet music, fine-tuning on other scores, and research on symbolic"
    " music."
)
_LIMITS = (
    "It knows the repertoire below and no other. What it writes may repeat passages of its training"
    " data."
)


def render_card(content: Mapping[str, Any]) -> str:
    """The README.md of a checkpoint folder: metadata for the Hub, then the text.

    Args:
        content: The whole of ``config.json``.
    """
    card = Card.from_dict(content["card"])
    title = card.title or content["architecture"]
    name = card.load_name or "local-dir:PATH"
    provenance = content["provenance"]
    adapter = content.get("adapter")
    base = adapter["base"] if adapter else ""
    parts = [
        f"# {_line(title)}",
        _line(card.summary),
        _table(
            ("", ""),
            [
                ("architecture", f"`{content['architecture']}` ({_sizes(content['config'])})"),
                (
                    "parameters",
                    f"{content['parameters']:,}"
                    + (f" (a LoRA adapter beside `{base}`)" if adapter else ""),
                ),
                ("stage", content["stage"]),
                ("licence of the weights", _licence(card)),
                ("origin", card.origin or "not stated by the publisher"),
            ],
        ),
        "## How to load",
        _usage(name, content),
        (
            "Whenever the model is opened, each file is compared with its SHA-256 in `config.json`,"
            " and what the model computes for stored inputs with the stored outputs. Nothing is"
            " unpickled."
        ),
        "## Intended use",
        card.intended_use or _INTENDED_USE,
        "## Limits",
        card.limits or _LIMITS,
        "## Figures",
        _figures(card.figures),
        "## Training data",
        _data(card.data, provenance),
        "## Training",
        _training(provenance),
        "## Prompts",
        _prompts(content["conditioning"].get("prompts", [])),
    ]
    body = "\n\n".join(part for part in parts if part)
    return f"---\n{_metadata(card, content, title).to_yaml()}\n---\n\n{body}\n"


def base_of(content: Mapping[str, Any]) -> str:
    """The Hub repository that training started from, or nothing.

    Args:
        content: The whole of ``config.json``.
    """
    name = str(
        (content.get("adapter") or {}).get("base")
        or content["provenance"].get("base", {}).get("name", "")
    )
    return name.removeprefix("hf-hub:").partition("@")[0] if name.startswith("hf-hub:") else ""


def _metadata(card: Card, content: Mapping[str, Any], title: str) -> ModelCardData:
    base = base_of(content)
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=re.sub(r"[^a-z0-9]+", "-", figure.data.lower()).strip("-") or "data",
            dataset_name=figure.data,
            metric_type=re.sub(r"[^a-z0-9]+", "_", figure.metric.lower()).strip("_") or "metric",
            metric_name=figure.metric,
            metric_value=figure.value,
        )
        for figure in card.figures
    ]
    extra: dict[str, Any] = (
        {"base_model_relation": "adapter" if content.get("adapter") else "finetune"} if base else {}
    )
    return ModelCardData(
        base_model=base or None,
        eval_results=results or None,
        library_name="musiczoo",
        license=card.licence,
        license_name=card.licence_name or None,
        license_link=card.licence_link or None,
        model_name=title if results else None,
        tags=["music", "symbolic-music", "sheet-music", content["architecture"].replace("_", "-")],
        **extra,
    )


def _line(text: object) -> str:
    return " ".join(str(text).split())


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(_line(cell).replace("|", "\\|") for cell in row) + " |" for row in lines
    )


def _sizes(config: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in config.items())


def _licence(card: Card) -> str:
    return (
        f"[{card.licence_name}]({card.licence_link})" if card.licence == "other" else card.licence
    )


def _usage(name: str, content: Mapping[str, Any]) -> str:
    """The lines of Python that load and use the model."""
    prompts = content["conditioning"].get("prompts", [])
    labels: Sequence[Any] = max(prompts, key=lambda row: row[3])[:3] if prompts else ()
    prompt = "".join(f"%{label}\n" for label in labels)
    row = ARCHITECTURES.get(content["architecture"])
    lines = ["import musiczoo", "", f'model = musiczoo.load("{name}")']
    if row is not None and row.usage:
        lines.append(row.usage.format(prompt=json.dumps(prompt, ensure_ascii=False)))
    return "\n".join(["```python", *lines, "```"])


def _figures(figures: Sequence[Figure]) -> str:
    if not figures:
        return "Nothing was measured."
    return _table(
        ("metric", "value", "on", "how"),
        [(row.metric, f"{row.value:.6g}", row.data, row.how) for row in figures],
    )


def _data(sources: Sequence[Source], provenance: Mapping[str, Any]) -> str:
    if not sources:
        recorded = sorted(
            {str(name) for fit in provenance.get("training", []) for name in fit.get("corpus", [])}
        )
        if recorded:
            return f"{', '.join(recorded)}. The publisher does not state the terms."
        return "The publisher does not name the training data."
    return _table(
        ("corpus", "works", "terms"),
        [(row.name, f"{row.works:,}" if row.works else "", row.licence) for row in sources],
    )


def _training(provenance: Mapping[str, Any]) -> str:
    lines = []
    if base := provenance.get("base"):
        details = ", ".join(
            f"{name} {value}" for name, value in base.items() if name != "name" and value
        )
        lines.append(
            f"- Started from `{_line(base.get('name', ''))}`"
            + (f" ({_line(details)})." if details else ".")
        )
    for fit in provenance.get("training", []):
        lines.append(
            "- "
            + _line(
                "; ".join(
                    f"{name.replace('_', ' ')} {_words(value)}" for name, value in fit.items()
                )
            )
            + "."
        )
    for name, value in provenance.items():
        if name not in ("base", "training"):
            lines.append(f"- {name.replace('_', ' ').capitalize()}: {_line(_words(value))}.")
    return "\n".join(lines) or "The weights' training is not recorded."


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _prompts(prompts: Sequence[Sequence[Any]]) -> str:
    if not prompts:
        return "The model was trained without labels."
    rows = sorted(prompts, key=lambda row: -row[3])
    table = _table(
        ("period", "composer or collection", "instrumentation or rhythm", "training works"),
        rows[:_PROMPTS_SHOWN],
    )
    rest = len(rows) - _PROMPTS_SHOWN
    return f"{table}\n\nAnd {rest} more; `config.json` lists all." if rest > 0 else table
