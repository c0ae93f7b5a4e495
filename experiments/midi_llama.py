"""MIDI-LLaMA in small: questions about pieces, answered from features and from ABC text.

    python -m experiments.midi_llama    # make midi-llama: three seeds, within an hour on two cores

The paper 'MIDI-LLaMA' in small: MusicBERT becomes ``musicbert-small``, Llama-3-8B a language model
of a million parameters that was trained on the questions and answers of training works without
music, and GiantMIDI-Piano's clips the works of four corpora (most are shorter than a minute, so
that whole works are asked about). The settings of both stages are the paper's ("AdamW", "a peak
learning rate of 5e-4", "a warm-up ratio of 0.03 followed by cosine decay", "batch size of 16",
LoRA of rank 8); numbers of steps, template and decoding are ours.

All intermediate files are kept in --folder: a killed run continues when it is called again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

import musiczoo
from experiments._midi_llama_data import (
    CORPUS,
    corpus,
    of_split,
    questions,
    texts_of,
    tokens_of,
)
from experiments._midi_llama_report import write_report
from experiments._processes import run_side_by_side
from musiczoo import Stage
from musiczoo.datamodules import MusicQADataModule, TextDataModule
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.llm.records import QARecord
from musiczoo.models.causal_lm import TextLM
from musiczoo.models.midi_llama import MidiLlamaModule
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.atomic import write_atomically
from musiczoo.representations.music_questions import Asked

MODELS = ("midi-llama", "abc-llama")
#: Semitones by which training works are moved.
SHIFTS = (0, -2, 3)


def paper_adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=5e-4, weight_decay=0.0)


def language_model(options: argparse.Namespace, records: list[QARecord]) -> str:
    """Stage 0: the tiny language model, trained on questions and answers without music."""
    folder = options.folder / "lm"
    if not folder.is_dir():
        tokens = tokens_of(records, 1024)
        sizes = {"layers": 4, "hidden": 128, "heads": 4, "intermediate": 352, "positions": 704}
        model = TextLM(
            **sizes,
            tied=True,
            representation=tokens,
            seed=0,
            warmup_steps=0.03,
            cooldown_steps=0.97,
            cooldown="cosine",
            optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=2e-3),
        )
        texts = texts_of(of_split(records, "train"))
        data = TextDataModule(texts, batch_size=64, val_fraction=0.0, progress=False)
        plan = [
            Stage(
                name="texts",
                start=model,
                data=data,
                max_steps=options.text_steps,
                checkpoint_every=200,
                trainer=TRAINER,
            )
        ]
        found = musiczoo.run_stages(plan, options.folder / "lm_run")
        save_checkpoint(musiczoo.load(f"local-dir:{found['texts']}"), folder)
    return f"local-dir:{folder.resolve()}"


TRAINER = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "gradient_clip_val": 1.0,
}


def data_of(options: argparse.Namespace, seed: int, **settings: Any) -> MusicQADataModule:
    """The questions about training works."""
    return MusicQADataModule(
        of_split(questions(options.folder), "train"),
        CORPUS,
        shifts=SHIFTS,
        batch_size=16,
        seed=seed,
        cache=options.cache,
        **settings,
    )


def new_model(options: argparse.Namespace, seed: int, *, features: bool) -> MidiLlamaModule:
    """A model as the first stage begins with it."""
    return MidiLlamaModule(
        encoder=options.encoder if features else "",
        lm=f"local-dir:{(options.folder / 'lm').resolve()}",
        segments=options.segments if features else 1,
        projection=options.projection,
        optimizer=paper_adamw,
        warmup_steps=0.03,
        cooldown_steps=0.97,
        cooldown="cosine",
        seed=seed,
    )


def train(options: argparse.Namespace, model: str, seed: int) -> Any:
    """Both stages of a run, or what they gave before."""
    features = model == "midi-llama"

    def start() -> MidiLlamaModule:
        return new_model(options, seed, features=features)

    def data() -> MusicQADataModule:
        return data_of(options, seed, progress=False)

    shared = {"data": data, "optimizer": paper_adamw, "trainer": TRAINER, "checkpoint_every": 200}
    align = Stage(
        name="align",
        start=start,
        trainable=["projection.*"],
        max_steps=options.align,
        warmup_steps=round(0.03 * options.align),
        cooldown_steps=round(0.97 * options.align),
        **shared,
    )
    # The baseline has no projection to align: its adapter gets the steps of both stages.
    steps = options.instruct if features else options.abc_steps
    instruct = Stage(
        name="instruct",
        start="previous" if features else start,
        max_steps=steps,
        warmup_steps=round(0.03 * steps),
        cooldown_steps=round(0.97 * steps),
        **shared,
    )
    plan = [align, instruct] if features else [instruct]
    found = musiczoo.run_stages(plan, options.folder / model / f"seed-{seed}")
    return musiczoo.load(f"local-dir:{found['instruct']}")


def answers(
    options: argparse.Namespace, model: MidiLlamaModule, *, music: bool = True
) -> list[str]:
    """What a model answers to the questions of the test works, greedily."""
    records = of_split(questions(options.folder), "test")
    pieces = {work.id: clean(work.tune) for work in corpus().works} if music else {}
    asked = [Asked(pieces.get(record.midi), record.question) for record in records]
    return [found.text for found in model.generate(asked, max_new_tokens=160)]


def run(options: argparse.Namespace, model: str, seed: int) -> None:
    """Trains and tests one model with one seed."""
    file = options.folder / model / f"seed-{seed}.json"
    if file.is_file():
        return
    began, cpu = time.monotonic(), time.process_time()
    trained = train(options, model, seed)
    middle = time.monotonic()
    found = {
        "model": model,
        "seed": seed,
        "answers": answers(options, trained),
        "train_s": round(middle - began, 1),
        "test_s": round(time.monotonic() - middle, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "parameters": sum(p.numel() for p in trained.net.parameters()),
        "trained": sum(value.numel() for value in trained.net.state_dict().values()),
    }
    if model == "abc-llama" and seed == 0:
        # The language model as both start from it: it sees the question alone.
        untrained = MidiLlamaModule(encoder="", lm=trained.config.lm, adapter={})
        found["untrained"] = answers(options, untrained, music=False)
    write_atomically(file, json.dumps(found).encode())


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("midi_llama"))
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument("--encoder", default="musicbert-small")
    parser.add_argument("--segments", type=int, default=4, help="music tokens of a piece")
    parser.add_argument("--projection", default="mlp", choices=["linear", "mlp"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--text-steps", type=int, default=1000)
    parser.add_argument("--align", type=int, default=800, help="steps of the first stage")
    parser.add_argument("--instruct", type=int, default=3200, help="steps of the second stage")
    parser.add_argument("--abc-steps", type=int, default=400, help="steps of the baseline")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--task", nargs=2, metavar=("MODEL", "SEED"), help=argparse.SUPPRESS)
    return parser


def main() -> None:
    options = parser().parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.task:
        torch.set_num_threads(1)
        run(options, options.task[0], int(options.task[1]))
        return
    began = time.monotonic()
    records = questions(options.folder)
    language_model(options, records)
    # The features of all works, which the runs share.
    data_of(options, 0, model=new_model(options, 0, features=True)).setup()
    # The longest first.
    tasks = {
        f"{model}-{seed}": ["--task", model, str(seed)]
        for model in reversed(MODELS)
        for seed in range(options.seeds)
    }
    run_side_by_side("experiments.midi_llama", tasks, options.folder, options.workers)
    print(write_report(options, records, time.monotonic() - began), file=sys.stderr)


if __name__ == "__main__":
    main()
