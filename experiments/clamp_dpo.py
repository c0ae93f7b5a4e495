"""CLaMP-DPO in small: scores over K = 0..3 rounds from the shipped checkpoint, as NotaGen's Table 2.

    python -m experiments.clamp_dpo                 # make clamp-dpo: three seeds, within an hour on
    two cores

Wang et al. 2025 (NotaGen, arXiv 2502.18008, section 4.2). The shipped model bar-stream writes
fiddle tunes for prompts of source and rhythm type; the encoder m3-small gives feedback; another
encoder, the judge (experiments/judge), tells whether the tunes are what was asked for. Prompts are
those of which a pilot sample is recognised in less than 90 %. Every number of the recipe is ours
but those that the docs name.

What is made is kept in --folder: a killed run goes on where it was when it is called again. The
table, the figures behind it and a picture go to --output.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import astuple
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

import musiczoo
from experiments._clamp_dpo_report import Examiner, report, write_report
from musiczoo.callbacks import PreferenceRounds
from musiczoo.callbacks.preference.files import RoundFiles, Sample
from musiczoo.datamodules import ScoreDataModule
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.objectives import DPOP
from musiczoo.models.sampling import Sampling
from musiczoo.music.atomic import write_atomically
from musiczoo.music.recipes.labels import Labels

# NotaGen's cuts; its temperature 1.2 belongs to a model a hundred times as large.
SAMPLING = Sampling(top_k=9, top_p=0.9, temperature=1.0)
CHORALES = Labels("Baroque", "Bach, Johann Sebastian", "Choral")
# The labels of tunes that tell no rhythm.
UNKNOWN_RHYTHM = "tune"
GENERATION = {"batch_size": 32}


def base_model(options: argparse.Namespace, seed: int) -> GenerativeModule:
    rate = options.rate
    model = musiczoo.load(
        "bar-stream",
        seed=seed,
        warmup_steps=5,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01),
    )
    assert isinstance(model, GenerativeModule)
    return model


def corpus(model: GenerativeModule, progress: bool = False) -> ScoreDataModule:
    """The works that the shipped checkpoint was trained on, divided as they were."""
    told = model.provenance["training"][-1]
    data = ScoreDataModule(
        told["corpus"],
        model.representation,
        exclude=told["exclude"],
        prompts=True,
        val_fraction=told["val_fraction"],
        test_fraction=told["test_fraction"],
        split_seed=told["split_seed"],
        max_staves=4,
        progress=progress,
    )
    data.setup()
    return data


def candidates(model: GenerativeModule) -> list[Labels]:
    """Prompts with more than ten works whose rhythm is known (NotaGen's rule)."""
    return [
        Labels(prompt.period, prompt.composer, prompt.instrumentation)
        for prompt in model.prompts
        if prompt.count > 10 and prompt.instrumentation != UNKNOWN_RHYTHM
    ]


def chosen_prompts(options: argparse.Namespace) -> list[Labels]:
    """The prompts whose pieces the judge recognises in less than 90 %, by a pilot sample that nothing else is measured on."""
    path = options.folder / "pilot.json"
    if not path.is_file():
        model = base_model(options, 0)
        examiner = Examiner(corpus(model, progress=True), candidates(model))
        asked = [labels for labels in candidates(model) for _ in range(options.pilot)]
        print(f"Pilot: {len(asked)} pieces", file=sys.stderr)
        results = model.generate(
            asked,
            SAMPLING,
            None,
            torch.Generator().manual_seed(options.pilot_seed),
            progress=True,
            **GENERATION,
        )
        found = examiner.accuracy_by_prompt(
            [Sample(place, result) for place, result in enumerate(results)]
        )
        rows = [[*astuple(labels), found[labels]] for labels in candidates(model)]
        write_atomically(path, json.dumps(rows, indent=1).encode())
    rows = json.loads(path.read_text())
    return [Labels(*row[:3]) for row in rows if row[3] < 0.9]


def fit(options: argparse.Namespace, seed: int) -> None:
    """One seed: K rounds, each policy kept, and pieces of the last one."""
    torch.set_num_threads(1)
    folder = options.folder / f"seed-{seed}"
    done = folder / "done.json"
    if done.is_file():
        return
    began = time.monotonic()
    model = base_model(options, seed)
    prompts = chosen_prompts(options)
    rounds = PreferenceRounds(
        options.rounds,
        options.steps,
        samples=options.samples,
        encoder=options.encoder,
        prompts=prompts,
        fraction=options.fraction,
        objective=DPOP(beta=options.beta, lambda_=options.penalty),
        batch_size=options.pairs,
        sampling=SAMPLING,
        generation=GENERATION,
        seed=seed,
        folder=folder / "rounds",
        examine_last=True,
        progress=False,
    )
    last = folder / "checkpoints" / "last.ckpt"
    trainer = lightning.Trainer(
        accelerator="cpu",
        gradient_clip_val=1.0,  # NotaGen's code
        logger=CSVLogger(folder, name=None, version=""),
        log_every_n_steps=5,
        callbacks=[
            rounds,
            ModelCheckpoint(
                folder / "checkpoints",
                save_last=True,
                save_top_k=0,
                every_n_train_steps=20,
                enable_version_counter=False,
            ),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        model,
        datamodule=corpus(model),
        ckpt_path=last if last.is_file() else None,
        weights_only=True,
    )
    # How the chorales fare, which are no part of the training: their voices must still go together.
    for number in range(options.rounds + 1):
        files = RoundFiles(folder / "chorales" / f"round-{number + 1:03d}")
        if files.chunk(0) is None:
            name = (
                "bar-stream"
                if number == 0
                else f"local-dir:{folder}/rounds/round-{number:03d}/policy"
            )
            policy = musiczoo.load(name)
            assert isinstance(policy, GenerativeModule)
            results = policy.generate(
                [CHORALES] * options.chorales,
                SAMPLING,
                None,
                torch.Generator().manual_seed(1000 + seed),
                **GENERATION,
            )
            files.write_chunk(0, [Sample(place, result) for place, result in enumerate(results)])
    write_atomically(
        done,
        json.dumps(
            {"seconds": time.monotonic() - began, "processor_seconds": time.process_time()}
        ).encode(),
    )


def run_seeds(options: argparse.Namespace) -> None:
    """All seeds side by side, a process of one thread each: nets this small gain little from more."""
    words = [sys.executable, "-m", "experiments.clamp_dpo", *sys.argv[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = {}
    for seed in options.seeds:
        log = open(options.folder / f"seed-{seed}.log", "ab")  # closed when the process is gone
        running[seed] = (
            subprocess.Popen(
                [*words, "--only-seed", str(seed)], env=environment, stdout=log, stderr=log
            ),
            log,
        )
    failed = []
    for seed, (process, log) in running.items():
        if process.wait():
            failed.append(seed)
        log.close()
    if failed:
        sys.exit(f"Seeds {failed} failed; see {options.folder}/seed-*.log. Call again to go on.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=100, help="pieces a prompt and round")
    parser.add_argument("--steps", type=int, default=40, help="optimiser steps of a round")
    parser.add_argument("--pairs", type=int, default=8, help="pairs of a batch")
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--penalty", type=float, default=10.0, help="lambda of DPOP")
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--encoder", default="m3-small", help="what gives feedback")
    parser.add_argument("--pilot", type=int, default=30, help="pieces a prompt in the pilot sample")
    parser.add_argument("--pilot-seed", type=int, default=12345)
    parser.add_argument(
        "--chorales", type=int, default=64, help="chorales to measure bar alignment on"
    )
    parser.add_argument("--folder", type=Path, default=Path("clamp_dpo"))
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument("--only-seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.only_seed is not None:
        fit(options, options.only_seed)
        return
    began = time.monotonic()
    prompts = chosen_prompts(options)
    print(
        f"{len(prompts)} prompts: {Counter(labels.composer for labels in prompts)}", file=sys.stderr
    )
    run_seeds(options)
    model = base_model(options, 0)
    document: dict[str, Any] = report(options, Examiner(corpus(model), candidates(model)), prompts)
    document["minutes"] = round((time.monotonic() - began) / 60, 1)
    write_report(document, options.output)


if __name__ == "__main__":
    main()
