"""The tables of experiments/midi_llama.py: closed questions, captions, questions outside."""

from __future__ import annotations

import json
import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments._machine import machine, versions
from musiczoo.llm.outside_questions import UNKNOWN
from musiczoo.llm.records import QARecord
from musiczoo.metrics import ClosedAnswers, majority_answers, text_scores
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

#: The paper's table (question answering on GiantMIDI-Piano clips, Llama-3-8B).
FIGURES = ("bleu", "meteor", "rouge_l", "bert_score")


def closed(records: Sequence[QARecord], answers: Sequence[str], train: Any) -> dict[str, Any]:
    """By tag: accuracy, that of the majority answer, questions; percent."""
    metric = ClosedAnswers(majority_answers([r.answer for r in train], [r.tag for r in train]))
    metric.update(answers, [r.answer for r in records], [r.tag for r in records])
    metric.compute()
    return {
        tag: {"accuracy": row.accuracy, "majority": row.majority, "questions": row.questions}
        for tag, row in metric.by_tag().items()
    }


def texts(records: Sequence[QARecord], answers: Sequence[str]) -> dict[str, float]:
    """The four metrics; BERTScore of 100 pairs, where its encoder is installed."""
    references = [record.answer for record in records]
    rows = text_scores(answers, references, metrics=FIGURES[:3])
    found = {str(row.record): row.value for row in rows}
    chosen = random.Random(0).sample(range(len(references)), min(100, len(references)))
    some = [answers[place] for place in chosen], [references[place] for place in chosen]
    try:
        [row] = text_scores(*some, metrics=FIGURES[3:])
    except MusicZooError as error:
        print(f"Without BERTScore: {error}", file=sys.stderr)
    else:
        found[f"{row.record}, {row.texts} pairs"] = row.value
    return found


def measured(
    records: Sequence[QARecord], answers: Sequence[str], train: Sequence[QARecord]
) -> dict[str, Any]:
    """All figures of one model on the test questions."""
    pairs = list(zip(records, answers, strict=True))
    known = [(r, a) for r, a in pairs if r.task == "qa" and r.tag != "outside"]
    outside = [a for r, a in pairs if r.tag == "outside"]
    captions = [(r, a) for r, a in pairs if r.task == "caption"]
    some = [r for r in train if r.task == "qa" and r.tag != "outside"]
    return {
        "closed": closed([r for r, _ in known], [a for _, a in known], some),
        "answers": texts([r for r, _ in known], [a for _, a in known]),
        "captions": texts([r for r, _ in captions], [a for _, a in captions]),
        "outside_unknown": 100 * statistics.mean(a == UNKNOWN for a in outside),
        "inside_unknown": 100 * statistics.mean(a == UNKNOWN for _, a in known),
    }


def write_report(options: Any, records: Sequence[QARecord], seconds: float) -> str:
    """Writes ``midi_llama.json`` and ``midi_llama.md``, and returns the page."""
    test = [record for record in records if record.source["split"] == "test"]
    train = [record for record in records if record.source["split"] == "train"]
    runs: dict[str, list[dict[str, Any]]] = {}
    facts: dict[str, list[dict[str, Any]]] = {}
    for model in ("midi-llama", "abc-llama"):
        for seed in range(options.seeds):
            file: Path = options.folder / model / f"seed-{seed}.json"
            found = json.loads(file.read_text())
            runs.setdefault(model, []).append(measured(test, found["answers"], train))
            kept = ("seed", "train_s", "test_s", "cpu_s", "parameters", "trained")
            facts.setdefault(model, []).append({name: found[name] for name in kept})
            if "untrained" in found:
                runs["untrained"] = [measured(test, found["untrained"], train)]
    settings = {
        name: getattr(options, name)
        for name in ("segments", "projection", "text_steps", "align", "instruct", "abc_steps")
    }
    document = {
        "machine": machine(),
        "versions": versions("musiczoo", "torch", "transformers"),
        "seconds": round(seconds),
        "settings": settings,
        "questions": {"train": len(train), "test": len(test)},
        "runs": runs,
        "facts": facts,
    }
    page = markdown(document)
    options.output.mkdir(parents=True, exist_ok=True)
    content = json.dumps(document, indent=1).encode() + b"\n"
    write_atomically(options.output / "midi_llama.json", content)
    write_atomically(options.output / "midi_llama.md", page.encode())
    return page


def markdown(document: Mapping[str, Any]) -> str:
    """The page of tables."""
    runs, settings = document["runs"], document["settings"]
    seeds = len(runs["midi-llama"])
    lines = [
        "# MIDI-LLaMA in small",
        "",
        f"`make midi-llama`: {seeds} seeds, {document['questions']['train']} questions about"
        f" training works and {document['questions']['test']} about test works, on"
        f" {document['machine']['processor']} ({document['machine']['cores']} cores),"
        f" {document['seconds']} s in all. Both models start from one language model of a million"
        " parameters, which was trained on questions and answers without music"
        f" ({settings['text_steps']} steps). MIDI-LLaMA: {settings['segments']} music tokens,"
        f" projection {settings['projection']}, {settings['align']} steps of alignment and"
        f" {settings['instruct']} of instruction. ABC-LLaMA: {settings['abc_steps']} steps of"
        " instruction with the bare ABC text in place of the music tokens: about the same processor"
        " time, and not the same number of questions, for its step reads some ten times as many"
        " tokens (the middle of long pieces is left out).",
        "",
        "## Closed questions",
        "",
        "Percent of right answers, mean over the seeds and lowest to highest. Wordings of the test"
        " differ from those of training. `majority` gives the most frequent training answer always;"
        " `untrained` is the language model that both start from, which sees the question alone.",
        "",
        "| question | test questions | majority | untrained | ABC-LLaMA | MIDI-LLaMA |",
        "|---|---|---|---|---|---|",
    ]
    for tag, row in runs["midi-llama"][0]["closed"].items():
        cells = [_spread([run["closed"][tag]["accuracy"] for run in runs[name]]) for name in _ROWS]
        lines.append(
            f"| {tag} | {row['questions']} | {row['majority']:.1f} | {' | '.join(cells)} |"
        )
    for title, part in (("Answers to them as texts", "answers"), ("Captions", "captions")):
        lines += ["", f"## {title}", "", "| metric | untrained | ABC-LLaMA | MIDI-LLaMA |"]
        lines.append("|---|---|---|---|")
        for name in runs["midi-llama"][0][part]:
            cells = [_spread([run[part][name] for run in runs[row]], 3) for row in _ROWS]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "## Questions outside", "", "Percent of answers that are 'I do not know.'", ""]
    lines += ["| questions | untrained | ABC-LLaMA | MIDI-LLaMA |", "|---|---|---|---|"]
    for title, part in (
        ("100 that notes do not answer", "outside_unknown"),
        ("the closed ones", "inside_unknown"),
    ):
        cells = [_spread([run[part] for run in runs[row]]) for row in _ROWS]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += ["", "## Cost", "", "| model | trained numbers | processor seconds of a seed |"]
    lines.append("|---|---|---|")
    for model, rows in document["facts"].items():
        seconds = _spread([row["cpu_s"] for row in rows], 0)
        lines.append(f"| {model} | {rows[0]['trained']:,} | {seconds} |")
    return "\n".join([*lines, "", *PAPER])


_ROWS = ("untrained", "abc-llama", "midi-llama")


def _spread(values: Sequence[float], digits: int = 1) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


PAPER = (
    "## The paper's table",
    "",
    "GiantMIDI-Piano, Llama-3-8B, answers to open questions that GPT-4o mined (4.3). What differs"
    " here: corpora, questions, sizes of all parts, METEOR's variant and BERTScore's encoder (the"
    " paper names neither). The figures are not comparable; the order of the models is.",
    "",
    "| task | model | BLEU | METEOR | ROUGE-L | BERTScore |",
    "|---|---|---|---|---|---|",
    "| question answering | LLaMA-3-8B | 0.0004 | 0.0101 | 0.0113 | 0.6077 |",
    "| | ABC-LLaMA | 0.2352 | 0.2792 | 0.5395 | 0.8529 |",
    "| | MIDI-LLaMA | 0.2001 | 0.2344 | 0.5486 | 0.9519 |",
    "| captioning | LLaMA-3-8B | 0.0467 | 0.1826 | 0.1412 | 0.8335 |",
    "| | ABC-LLaMA | 0.1592 | 0.2919 | 0.2607 | 0.8536 |",
    "| | MIDI-LLaMA | 0.2566 | 0.3797 | 0.4265 | 0.9142 |",
    "",
)
