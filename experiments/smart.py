"""SMART in small: the shipped decoder tuned by the shipped audio scorer, in four settings.

    python -m experiments.smart    # make smart: three seeds, within an hour on two cores

Jonason, Casini and Sturm 2025 (SMART, arXiv 2504.16839), sections 4.1, 4.2, 5.2 and 5.3: the
paper's three settings, and one with prompts of real pieces. The base model is phi3-remi, the reward
MelAesthetics; every number of the recipe is ours, except those that docs/smart.md names. The
paper's 200 iterations of 8 x 8 completions of 256 tokens become 40 of 4 x 8 of 128. Its 1,000
iterations of the over-optimised runs become 250, with a lower learning rate than that of the short
runs (the paper has one rate for both): at the full rate the noise of small batches moves the policy
further from the base than its reward requires.

All intermediate files are kept in --folder: a killed run continues when it is called again.
Tables, figures and pictures are written to --output.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import musiczoo
from experiments._fitting import fit_in_folder
from experiments._processes import run_side_by_side
from experiments._smart_report import write_report
from musiczoo.callbacks import CorpusPrompts, GroupRollouts, ProceduralPrompts, PromptSource
from musiczoo.comparison.evaluate import evaluate
from musiczoo.comparison.evaluation import FIGURES, Evaluation
from musiczoo.datamodules.midi import MidiDataModule
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.base import GenerativeModule
from musiczoo.music.atomic import write_atomically
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards import MelAesthetics

BASE = "base"
EVALUATIONS = "evaluations"
"""Name of the folder that keeps the evaluations."""


@dataclass(frozen=True)
class Setting:
    """One way of tuning.

    Attributes:
        name: In tables.
        is_long: Whether it runs for the steps of over-optimisation.
        beta: Weight of the divergence; None for the option's.
        prompts: ``"procedural"`` or ``"corpus"``.
    """

    name: str
    is_long: bool = False
    beta: float | None = None
    prompts: str = "procedural"


SETTINGS = (
    Setting("short"),
    Setting("long", is_long=True),
    Setting("long-free", is_long=True, beta=0.0),
    Setting("corpus", prompts="corpus"),
)


def model_of(name: str, **settings: Any) -> GenerativeModule:
    model = musiczoo.load(name, **settings)
    assert isinstance(model, GenerativeModule)
    assert model.writes == "performance", f"{name} generates no performances"
    return model


def corpus(model: GenerativeModule) -> MidiDataModule:
    """The pieces that the shipped decoder was trained on, divided as they were."""
    fitted = model.provenance["training"][-1]
    data = MidiDataModule(
        fitted["corpus"], model.representation, split_seed=fitted["split_seed"], progress=False
    )
    data.setup()
    return data


def prompts_of(kind: str, split: str, model: GenerativeModule) -> PromptSource:
    if kind == "procedural":
        return ProceduralPrompts("bare", model.representation)
    return CorpusPrompts(corpus(model), "train" if split == "train" else "test")


def tune(options: argparse.Namespace, setting: Setting, seed: int) -> None:
    """One run; its policy is saved as a checkpoint folder."""
    folder: Path = options.folder / setting.name / f"seed-{seed}"
    if (folder / "done.json").is_file():
        return
    began = time.monotonic()
    steps = options.long if setting.is_long else options.short
    rate = options.long_rate if setting.is_long else options.rate
    model = model_of(
        "phi3-remi",
        seed=seed,
        cooldown_steps=steps,  # linear to 0, as the paper
        dropout=0.0,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0),
    )
    # Several runs share the machine, so one worker each keeps the cores busy.
    with Renderer(workers=1) as renderer:
        rollouts = GroupRollouts(
            steps,
            prompts=prompts_of(setting.prompts, "train", model),
            reward=MelAesthetics(renderer=renderer),
            groups=options.groups,
            group_size=options.group_size,
            max_new_tokens=options.tokens,
            beta=options.beta if setting.beta is None else setting.beta,
            batch_size=options.groups * options.group_size,
            log_kl=1,
            seed=seed,
            folder=folder / "rollouts",
            progress=False,
        )
        fit_in_folder(model, folder, rollouts, checkpoint_every=10, log_every=1)
    save_checkpoint(model, folder / "policy", overwrite=True)
    done = {"reports": rollouts.reports, "seconds": time.monotonic() - began}
    write_atomically(folder / "done.json", json.dumps(done).encode())


def evaluate_model(
    options: argparse.Namespace, name: str, model_name: str, kind: str, count: int
) -> None:
    """Evaluates a model on prompts that nothing was tuned on; the same ones for every model."""
    folder: Path = options.folder / EVALUATIONS / kind / name
    if (folder / FIGURES).is_file():
        return
    base = model_of("phi3-remi")
    model = base if model_name == "phi3-remi" else model_of(model_name)
    # The seed of the figures in docs/results, which were made under the former name.
    rng = random.Random(f"portrait:{options.evaluation_seed}")
    prompts = prompts_of(kind, "test", base).draw(options.pieces, rng)[:count]
    with Renderer(workers=1) as renderer:
        evaluation = evaluate(
            model,
            prompts,
            name=name,
            reward=MelAesthetics(renderer=renderer),
            reference=None if model is base else base,
            max_new_tokens=options.tokens,
            seed=options.evaluation_seed,
        )
    evaluation.save(folder)


def tasks(options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """All runs and evaluations by name; a run's policy is evaluated at its end."""
    found: dict[str, Callable[[], None]] = {}
    for kind in ("procedural", "corpus"):
        found[f"evaluation:{kind}:{BASE}"] = lambda kind=kind: evaluate_model(
            options, BASE, "phi3-remi", kind, options.pieces
        )
    # Seed by seed, so that a call that is stopped early has runs of every setting.
    for seed in options.seeds:
        for setting in SETTINGS:

            def make(setting: Setting = setting, seed: int = seed) -> None:
                tune(options, setting, seed)
                policy = f"local-dir:{options.folder / setting.name / f'seed-{seed}' / 'policy'}"
                evaluate_model(
                    options, f"{setting.name}-{seed}", policy, setting.prompts, options.pieces
                )

            found[f"run:{setting.name}:{seed}"] = make
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--short", type=int, default=40, help="rollout steps of the paper's setting, scaled"
    )
    parser.add_argument(
        "--long", type=int, default=250, help="rollout steps of over-optimisation, scaled"
    )
    parser.add_argument("--groups", type=int, default=4, help="prompts a step")
    parser.add_argument("--group-size", type=int, default=8, help="completions a prompt")
    parser.add_argument("--tokens", type=int, default=128, help="longest completion")
    parser.add_argument("--beta", type=float, default=0.04)
    parser.add_argument(
        "--rate", type=float, default=8e-4, help="first learning rate of the short runs"
    )
    parser.add_argument(
        "--long-rate", type=float, default=3e-4, help="first learning rate of over-optimisation"
    )
    parser.add_argument(
        "--pieces", type=int, default=256, help="prompts that every model is measured on"
    )
    parser.add_argument("--evaluation-seed", type=int, default=12345)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="runs at once")
    parser.add_argument("--folder", type=Path, default=Path("smart"))
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument(
        "--report",
        action="store_true",
        help="write the report of the runs that are done, and run nothing",
    )
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    everything = tasks(options)
    if options.only is not None:
        torch.set_num_threads(1)
        everything[options.only]()
        return
    began = time.monotonic()
    if not options.report:
        # Fills the cache of the corpora once, before several processes read it.
        corpus(model_of("phi3-remi"))
        words = {name.replace(":", "-"): ["--only", name] for name in everything}
        run_side_by_side("experiments.smart", words, options.folder, options.workers)
    report(options, minutes_of_all_calls(options.folder, time.monotonic() - began))


def minutes_of_all_calls(folder: Path, seconds: float) -> float:
    """Minutes of this call and of the earlier ones that worked on the same folder."""
    kept = folder / "seconds.json"
    total = seconds + (json.loads(kept.read_text()) if kept.is_file() else 0.0)
    write_atomically(kept, json.dumps(total).encode())
    return round(total / 60, 1)


def report(options: argparse.Namespace, minutes: float) -> None:
    """Tables and pictures of the runs that are done; each row names its seeds."""
    evaluations: dict[str, list[Evaluation]] = {kind: [] for kind in ("procedural", "corpus")}
    for kind, found in evaluations.items():
        folder: Path = options.folder / EVALUATIONS / kind
        found += [Evaluation.load(path.parent) for path in sorted(folder.glob(f"*/{FIGURES}"))]
    names = {evaluation.name for found in evaluations.values() for evaluation in found}
    runs: dict[str, dict[int, Any]] = {}
    for setting in SETTINGS:
        for seed in options.seeds:
            if f"{setting.name}-{seed}" in names:
                done = options.folder / setting.name / f"seed-{seed}" / "done.json"
                runs.setdefault(setting.name, {})[seed] = json.loads(done.read_text())
    write_report(options, runs, evaluations, minutes)


if __name__ == "__main__":
    main()
