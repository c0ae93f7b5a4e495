"""Releases midi-llama-small and its language model from a run of experiments/midi_llama.py.

python -m experiments.midi_llama --folder midi_llama
python -m experiments.release_midi_llama midi_llama
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

import musiczoo
from experiments._midi_llama_data import CORPUS, of_split, questions, texts_of
from experiments._midi_llama_report import measured
from experiments._release import rounded, sources
from experiments.midi_llama import answers
from musiczoo.hub.card import Card, Figure
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.midi_llama import MidiLlamaModule

SHIPPED = Path("hub/shipped")
LM_ORIGIN = (
    "Trained by the musiczoo authors from random weights on questions and answers about training"
    " works, without the music (experiments/midi_llama.py, stage 0)."
)
LM_USE = "The language model of midi-llama-small. Alone it knows the questions, and no piece."
ORIGIN = (
    "Trained by the musiczoo authors with experiments/midi_llama.py: alignment, then instruction,"
    " as the paper 'MIDI-LLaMA' has them, beside musicbert-small and qa-lm-small."
)
USE = (
    "Answers to eight questions about short notated pieces and MIDI files, offline: mode, number of"
    " voices, range, note density, rhythm type of a dance, source (one of four collections), final"
    " cadence, direction of the last interval; and a description of these. The figures below say"
    " how often each answer is right."
)
LIMITS = (
    "Mode, final cadence and direction of the last interval are right less than ten points "
    "more often than the most frequent answer: do not rely on them. To anything else it says "
    "'I do not know.' It has learnt from chorales and fiddle tunes, and guesses a collection "
    "or a dance for any other music too. It does not see programs, dynamics, tempo and drums."
    " It knows its questions in the words that they are asked in here, and answers in fixed "
    "sentences."
)


def figures(found: dict[str, Any], count: int) -> list[Figure]:
    """Accuracy of each question beside the majority answer, and what is not known."""
    rows = []
    for tag, row in found["closed"].items():
        on = f"{row['questions']} questions about test works"
        majority = f"the most frequent training answer is right in {row['majority']:.1f} %"
        rows.append(Figure(f"{tag}, percent right", row["accuracy"], on, majority))
    on = "100 questions that notes do not answer"
    rows.append(Figure("'I do not know.', percent", found["outside_unknown"], on))
    on = f"the {count} closed questions above"
    rows.append(Figure("'I do not know.', percent", found["inside_unknown"], on))
    return rows


def release_lm(options: argparse.Namespace) -> None:
    """The language model that both models of the experiment start from."""
    lm: Any = musiczoo.load(f"local-dir:{options.folder}/lm")
    texts = texts_of(of_split(questions(options.folder), "validation"))
    batch = lm.representation.collate([lm.representation.encode(text) for text in texts])
    with torch.no_grad():
        scored = lm.log_probs(batch)
    nats = -float(scored.values.sum() / scored.mask.sum())
    card = Card(
        title="qa-lm-small",
        summary="The language model of midi-llama-small",
        load_name="qa-lm-small",
        licence="mit",
        origin=LM_ORIGIN,
        data=sources(CORPUS),
        figures=(Figure("nats of a token", round(nats, 4), f"{len(texts)} validation texts"),),
        intended_use=LM_USE,
        limits="It is no language model of anything else.",
    )
    save_checkpoint(lm, SHIPPED / "qa-lm-small", card=card, dtype="bfloat16", overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the experiment")
    parser.add_argument("--model", help="local-dir:PATH of another run's last stage")
    options = parser.parse_args()
    torch.manual_seed(0)
    release_lm(options)
    first = options.folder / "midi-llama/seed-0/instruct/checkpoint"
    trained: Any = musiczoo.load(options.model or f"local-dir:{first}")
    # The same, beside the language model as it is shipped.
    model = MidiLlamaModule(
        encoder="musicbert-small",
        lm="qa-lm-small",
        segments=trained.config.segments,
        projection=trained.config.projection,
        adapter=trained.config.adapter,
        representation=trained.representation,
    ).eval()
    model.net.load_state_dict(trained.net.state_dict())
    model.stage, model.provenance = trained.stage, trained.provenance
    model.provenance.pop("base", None)
    records = questions(options.folder)
    test, train = of_split(records, "test"), of_split(records, "train")
    found = measured(test, answers(options, model), train)
    count = sum(row["questions"] for row in found["closed"].values())
    card = Card(
        title="midi-llama-small",
        summary="Answers questions about MIDI files, offline",
        load_name="midi-llama-small",
        licence="mit",
        origin=ORIGIN,
        data=sources(CORPUS),
        figures=tuple(rounded(figures(found, count))),
        intended_use=USE,
        limits=LIMITS,
    )
    folder = SHIPPED / "midi-llama-small"
    save_checkpoint(model, folder, card=card, dtype="bfloat16", overwrite=True)


if __name__ == "__main__":
    main()
