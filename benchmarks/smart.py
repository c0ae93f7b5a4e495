"""Sampling and one SMART iteration, ours beside transformers' and TRL's, in one run.

Jonason, Casini and Sturm 2025 (SMART, arXiv 2504.16839).

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
import sys
import warnings
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from benchmarks._smart_ends import ENDS
from benchmarks._smart_iteration import iteration
from benchmarks._smart_sampling import sampling

TINY = {
    "layers": 1,
    "hidden": 416,
    "heads": 4,
    "intermediate": 64,
    "batch": 4,
    "groups": 2,
    "group_size": 2,
    "new_tokens": 32,
    "micro_batch": 2,
    "repeats": 2,
}


def parsed() -> argparse.Namespace:
    """The options."""
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
    parser.add_argument("--corpus", default="bach-chorales", help="gives the net its table")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if arguments.tiny:
        vars(arguments).update(TINY)
    if arguments.groups * arguments.group_size % arguments.micro_batch:
        parser.error("--micro-batch must divide --groups times --group-size.")
    return arguments


def main() -> None:
    arguments = parsed()
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
