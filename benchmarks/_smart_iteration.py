"""The second part of benchmarks/smart.py: an iteration by ours and by TRL."""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import lightning

from benchmarks._smart_ends import ENDS, show
from benchmarks._table_net import table_module
from benchmarks._trl_smart import Fit, Steps, trl_steps
from musiczoo.callbacks import GroupRollouts, ProceduralPrompts
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.rewards.audio import AudioReward
from musiczoo.rewards.mel_aesthetics import MelAesthetics


class Clock(lightning.Callback):
    """Records the seconds of each step; the first begins with the fit."""

    def __init__(self) -> None:
        self.began = 0.0
        self.steps = 0
        self.whole: list[float] = []

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self.began = time.perf_counter()

    def on_train_batch_end(self, trainer: lightning.Trainer, *rest: Any) -> None:
        if trainer.global_step > self.steps:
            now = time.perf_counter()
            self.whole.append(now - self.began)
            self.began, self.steps = now, trainer.global_step


def our_steps(module: Phi3RemiModule, reward: AudioReward, fit: Fit) -> Steps:
    """Trains the module."""
    with tempfile.TemporaryDirectory() as folder:
        rollouts = GroupRollouts(
            fit.steps,
            prompts=fit.prompts,
            reward=reward,
            groups=len(fit.prompts),
            group_size=fit.group_size,
            max_new_tokens=fit.new_tokens,
            batch_size=fit.micro_batch,
            folder=folder,
            seed=fit.seed,
            progress=False,
        )
        watch = Clock()
        lightning.Trainer(
            accelerator="cpu",
            gradient_clip_val=1.0,  # TRL's default
            callbacks=[rollouts, watch],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module)
    reports = rollouts.reports
    parts = {
        part: [report["seconds"][part] for report in reports] for part in reports[0]["seconds"]
    }
    return Steps(
        watch.whole,
        parts,
        [report["reward"] for report in reports],
        [report["length"] for report in reports],
    )


def compared_fits(arguments: argparse.Namespace, reward: AudioReward, name: str) -> dict[str, Any]:
    """The second part with one probability of an end."""
    module = table_module(arguments, ENDS[name])
    weights = {key: value.clone() for key, value in module.net.state_dict().items()}
    drawn = ProceduralPrompts("note", module.representation).draw(
        arguments.groups, random.Random(0)
    )
    prompts = [module.representation.text(ids) for ids in drawn]
    small = Fit(
        prompts,
        arguments.group_size,
        arguments.new_tokens,
        arguments.micro_batch,
        arguments.steps,
        seed=0,
    )
    whole = replace(small, micro_batch=small.completions)
    plain, checkpointing = (
        partial(trl_steps, gradient_checkpointing=some) for some in (False, True)
    )
    ways: dict[str, tuple[Callable[[Phi3RemiModule, AudioReward, Fit], Steps], Fit]] = {
        "ours": (our_steps, small),
        "trl": (plain, whole),
        "trl_gradient_checkpointing": (checkpointing, whole),
        "trl_micro_batches": (plain, small),
    }
    found = {way: Steps() for way in ways}

    def run(way: str, **changes: int) -> Steps:
        module.net.load_state_dict(weights)
        train, fit = ways[way]
        return train(module, reward, replace(fit, **changes))

    for way in ways:
        run(way, steps=1, new_tokens=min(16, arguments.new_tokens))
    for number in range(arguments.rounds):
        for way in ways:
            steps = run(way, seed=number + 1)
            found[way].add(steps)
            show(
                f"iteration, {name}, {way}: {steps.whole[-1]:.1f} s,"
                f" { ({part: round(some[-1], 1) for part, some in steps.parts.items()}) }"
            )
    return figures_of(found)


def figures_of(found: dict[str, Steps]) -> dict[str, Any]:
    """The figures of each way's steps."""
    medians = {way: statistics.median(steps.whole) for way, steps in found.items()}
    return {
        "seconds_a_step": {way: round(value, 2) for way, value in medians.items()},
        "ratios": {
            way: round(value / medians["ours"], 3)
            for way, value in medians.items()
            if way != "ours"
        },
        "parts": {
            way: {part: round(statistics.median(some), 2) for part, some in steps.parts.items()}
            for way, steps in found.items()
        },
        "all_steps": {
            way: [round(value, 2) for value in steps.whole] for way, steps in found.items()
        },
        "mean_length": {
            way: round(statistics.mean(steps.lengths), 1) for way, steps in found.items()
        },
        "mean_reward": {
            way: round(statistics.mean(steps.rewards), 3) for way, steps in found.items()
        },
    }


def iteration(arguments: argparse.Namespace) -> dict[str, Any]:
    """The second part."""
    if find_spec("trl") is None:
        return {"left out": "TRL is not installed: pip install musiczoo[oracle]"}
    reward = MelAesthetics()
    sizes = {name: getattr(arguments, name) for name in ("groups", "group_size", "new_tokens")}
    return {**sizes, **{name: compared_fits(arguments, reward, name) for name in arguments.ends}}
