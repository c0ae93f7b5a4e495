"""Sampling and one SMART iteration (Jonason, Casini and Sturm 2025, arXiv 2504.16839) beside transformers' and TRL's way, in one run.

Sampling: 64 prompts of 7 tokens continued by 256, from the full softmax, by
``Phi3RemiModule.generate`` and by transformers' ``generate`` on the very same net, alternating.
Tokens are those before a sequence's EOS. Once nothing ends, and once each token ends its sequence
with the probability that it has in an untrained net, 1/413. Ours gives the log-probability of each
token besides, transformers' does not.

Iteration: sample 8 x 8 completions, render, score by the same reward, one optimiser step of GRPO;
by ``GroupRollouts`` in ``Trainer.fit`` and by TRL's trainer (``benchmarks/_trl_smart.py``), from
the same weights: with all completions in one batch as SMART's script has it, with and without TRL's
default of gradient checkpointing, and in micro-batches of ``--micro-batch``, in which ours
computes. After a warm-up of each with 16 tokens, fits of ``--steps`` steps alternate; all of their
steps count.

Both sides compute in float32 with the same number of threads. Prints one JSON object. Times are
medians; seconds of the wall clock, and for sampling also of the processor, which other work on the
machine lengthens less.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import lightning
import torch
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from benchmarks._remi_net import speaking_module
from benchmarks._trl_smart import Fit, Steps, trl_steps
from musiczoo.callbacks.rollouts.callback import GroupRollouts
from musiczoo.callbacks.rollouts.remi_prompts import ProceduralPrompts
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.representations.remi import EOS, PAD
from musiczoo.rewards.audio import AudioReward
from musiczoo.rewards.mel_aesthetics import MelAesthetics

ENDS = {"never": 0.0, "ends": 1 / 413}


def tell(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def clock(work: Callable[[], list[Tensor]]) -> dict[str, float]:
    """Seconds and tokens of one call that gives sampled tokens."""
    wall, processor = time.perf_counter(), time.process_time()
    said = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "wall": wall,
        "processor": processor,
        "tokens": sum(before_end(tokens) for tokens in said),
    }


def before_end(tokens: Tensor) -> int:
    """How many tokens stand before the first EOS."""
    ends = (tokens == EOS).nonzero()
    return int(ends[0]) if len(ends) else len(tokens)


def ours(module: Phi3RemiModule, prompts: list[Tensor], new: int, seed: int) -> list[Tensor]:
    """Sampled tokens of each prompt, as ours does it."""
    results = module.generate(
        prompts,
        generator=torch.Generator().manual_seed(seed),
        max_new_tokens=new,
        batch_size=len(prompts),
    )
    return [result.tokens[result.scored] for result in results]


def theirs(module: Phi3RemiModule, prompts: list[Tensor], new: int, seed: int) -> list[Tensor]:
    """The same by transformers."""
    torch.manual_seed(seed)
    ids = torch.stack(prompts)
    options = {
        "do_sample": True,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "max_new_tokens": new,
    }
    with torch.no_grad():
        out = module.net.generate(
            ids, attention_mask=torch.ones_like(ids), pad_token_id=PAD, eos_token_id=EOS, **options
        )
    return list(out[:, ids.shape[1] :])


def agreement(module: Phi3RemiModule, prompts: list[Tensor]) -> float:
    """Largest difference between the log-probabilities that we return and those that transformers computes for the same tokens."""
    worst = 0.0
    for result in module.generate(
        prompts[:4], generator=torch.Generator().manual_seed(0), max_new_tokens=64
    ):
        with torch.no_grad():
            logits = module.net(result.tokens.unsqueeze(0)).logits[0, :-1]
        said = (
            logits.log_softmax(-1)
            .gather(1, result.tokens[1:].unsqueeze(1))
            .squeeze(1)[result.scored[1:]]
        )
        worst = max(worst, float((said - result.log_probs[result.scored]).abs().max()))
    return worst


def compared_sampling(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """The first part with one probability of an end."""
    module = speaking_module(arguments, ENDS[name])
    prompts = ProceduralPrompts("note", module.representation).draw(
        arguments.batch, random.Random(0)
    )
    ways = {"ours": ours, "transformers": theirs}
    for generate in ways.values():
        generate(module, prompts, min(16, arguments.new_tokens), 0)
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for repeat in range(arguments.repeats):
        for way, generate in ways.items():
            runs[way].append(
                clock(partial(generate, module, prompts, arguments.new_tokens, repeat))
            )
        tell(
            f"sampling, {name}:"
            f" { ({way: round(some[-1]['wall'], 2) for way, some in runs.items()}) } s"
        )
    speeds = {
        timer: {
            way: statistics.median(one["tokens"] / one[timer] for one in some)
            for way, some in runs.items()
        }
        for timer in ("wall", "processor")
    }
    return {
        "tokens_a_second": {way: round(speed, 1) for way, speed in speeds["wall"].items()},
        "ratio": round(speeds["wall"]["ours"] / speeds["wall"]["transformers"], 3),
        "ratio_processor": round(
            speeds["processor"]["ours"] / speeds["processor"]["transformers"], 3
        ),
        "seconds": {way: [round(one["wall"], 3) for one in some] for way, some in runs.items()},
        "tokens": {way: [int(one["tokens"]) for one in some] for way, some in runs.items()},
        "log_prob_difference": agreement(module, prompts),
    }


def sampling(arguments: argparse.Namespace) -> dict[str, Any]:
    """The first part."""
    sizes = {"prompts": arguments.batch, "new_tokens": arguments.new_tokens}
    return {**sizes, **{name: compared_sampling(arguments, name) for name in arguments.ends}}


class Clock(lightning.Callback):
    """Seconds from the beginning of the fit to the end of its first step, and of each further one."""

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
    module = speaking_module(arguments, ENDS[name])
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
            tell(
                f"iteration, {name}, {way}: {steps.whole[-1]:.1f} s,"
                f" { ({part: round(some[-1], 1) for part, some in steps.parts.items()}) }"
            )
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["sampling", "iteration", "all"], default="all")
    parser.add_argument(
        "--tiny", action="store_true", help="a small net and short pieces, to try the program"
    )
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--intermediate", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=64, help="prompts of the sampling")
    parser.add_argument("--groups", type=int, default=8, help="prompts of an iteration")
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument(
        "--micro-batch", type=int, default=8, help="completions at a time, a divisor of all of them"
    )
    parser.add_argument("--new-tokens", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3, help="of each way of sampling")
    parser.add_argument("--rounds", type=int, default=1, help="fits of each trainer")
    parser.add_argument("--steps", type=int, default=1, help="of each fit")
    parser.add_argument("--ends", choices=[*ENDS], nargs="+", default=[*ENDS])
    parser.add_argument("--corpus", default="bach-chorales", help="whose table the net speaks by")
    parser.add_argument(
        "--ear",
        choices=["shipped", "untrained"],
        default="shipped",
        help="weights of the reward, which take the same time",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if arguments.tiny:
        small = {
            "layers": 1,
            "hidden": 416,
            "heads": 4,
            "intermediate": 64,
            "batch": 4,
            "groups": 2,
            "group_size": 2,
            "new_tokens": 32,
            "micro_batch": 2,
        }
        vars(arguments).update({**small, "repeats": 2})
    if arguments.groups * arguments.group_size % arguments.micro_batch:
        parser.error("--micro-batch must divide --groups times --group-size.")
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    disable_progress_bar()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    report: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": arguments.threads,
            "torch": torch.__version__,
        },
        "precision": "float32",
        "net": {
            name: getattr(arguments, name) for name in ("layers", "hidden", "heads", "intermediate")
        },
    }
    if arguments.part != "iteration":
        report["sampling"] = sampling(arguments)
    if arguments.part != "sampling":
        report["iteration"] = iteration(arguments)
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
