"""CLaMP-DPO in small: scores over K = 0..3 rounds from the shipped checkpoint (NotaGen's Table 2).

    python -m experiments.clamp_dpo    # make clamp-dpo: three seeds, within an hour on two cores

Wang et al. 2025 (NotaGen, arXiv 2502.18008, section 4.2). The shipped model bar-stream generates
fiddle tunes for prompts of source and rhythm type; the encoder m3-small gives feedback; another
encoder, the judge (experiments/judge), classifies the tunes and so checks them against their
prompts. A pilot sample selects the prompts: those whose tunes the judge recognises in less than
90 %. Every number of the recipe is ours, except those that docs/preference.md names.

All intermediate files are kept in --folder: a killed run continues when it is called again. The
table, the figures behind it and a picture are written to --output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch

import musiczoo
from experiments._clamp_dpo_figures import Examiner, report
from experiments._clamp_dpo_report import write_report
from experiments._fitting import fit_in_folder
from experiments._processes import run_side_by_side
from musiczoo.callbacks import PreferenceRounds
from musiczoo.callbacks.preference.files import RoundFiles, Sample
from musiczoo.datamodules import ScoreDataModule
from musiczoo.models.base import GenerativeModule
from musiczoo.models.objectives import DPOP
from musiczoo.models.sampling import Sampling
from musiczoo.music.atomic import write_atomically
from musiczoo.music.recipes.labels import Labels

# NotaGen's cuts; its temperature 1.2 belongs to a model a hundred times as large.
SAMPLING = Sampling(top_k=9, top_p=0.9, temperature=1.0)
CHORALES = Labels("Baroque", "Bach, Johann Sebastian", "Choral")
# The third label of tunes whose rhythm is unknown.
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
    fitted = model.provenance["training"][-1]
    data = ScoreDataModule(
        fitted["corpus"],
        model.representation,
        exclude=fitted["exclude"],
        prompts=True,
        val_fraction=fitted["val_fraction"],
        test_fraction=fitted["test_fraction"],
        split_seed=fitted["split_seed"],
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
    """The prompts whose pieces the judge recognises in less than 90 % of a pilot sample.

    Nothing else is measured on that sample.
    """
    path = options.folder / "pilot.json"
    if not path.is_file():
        model = base_model(options, 0)
        examiner = Examiner(corpus(model, progress=True), candidates(model))
        asked = [labels for labels in candidates(model) for _ in range(options.pilot)]
        print(f"Pilot: {len(asked)} pieces", file=sys.stderr)
        results = model.generate(
            asked,
            sampling=SAMPLING,
            generator=torch.Generator().manual_seed(options.pilot_seed),
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


def rounds_of(
    options: argparse.Namespace, prompts: list[Labels], seed: int, folder: Path
) -> PreferenceRounds:
    """The rounds of one seed."""
    return PreferenceRounds(
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
        folder=folder,
        examine_last=True,
        progress=False,
    )


def fit(options: argparse.Namespace, seed: int) -> None:
    """One seed: K rounds, each policy kept, and pieces of the last one."""
    torch.set_num_threads(1)
    folder = options.folder / f"seed-{seed}"
    done = folder / "done.json"
    if done.is_file():
        return
    began = time.monotonic()
    model = base_model(options, seed)
    rounds = rounds_of(options, chosen_prompts(options), seed, folder / "rounds")
    fit_in_folder(model, folder, rounds, data=corpus(model), checkpoint_every=20, log_every=5)
    sample_chorales(options, seed, folder)
    seconds = {"seconds": time.monotonic() - began, "processor_seconds": time.process_time()}
    write_atomically(done, json.dumps(seconds).encode())


def sample_chorales(options: argparse.Namespace, seed: int, folder: Path) -> None:
    """Chorales by the policy of each round, for the bar-alignment error.

    The rounds train on tunes alone, so chorales show whether the voices stay together.
    """
    for number in range(options.rounds + 1):
        files = RoundFiles(folder / "chorales" / f"round-{number + 1:03d}")
        if files.chunk(0) is not None:
            continue
        tuned = f"local-dir:{folder}/rounds/round-{number:03d}/policy"
        policy = musiczoo.load("bar-stream" if number == 0 else tuned)
        assert isinstance(policy, GenerativeModule)
        results = policy.generate(
            [CHORALES] * options.chorales,
            sampling=SAMPLING,
            generator=torch.Generator().manual_seed(1000 + seed),
            **GENERATION,
        )
        files.write_chunk(0, [Sample(place, result) for place, result in enumerate(results)])


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
    parser.add_argument("--encoder", default="m3-small", help="the encoder that gives feedback")
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
    seeds = {f"seed-{seed}": ["--only-seed", str(seed)] for seed in options.seeds}
    run_side_by_side("experiments.clamp_dpo", seeds, options.folder, len(seeds))
    model = base_model(options, 0)
    document: dict[str, Any] = report(options, Examiner(corpus(model), candidates(model)), prompts)
    document["minutes"] = round((time.monotonic() - began) / 60, 1)
    write_report(document, options.output)


if __name__ == "__main__":
    main()
