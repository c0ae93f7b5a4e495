"""The first part of benchmarks/smart.py: sampling by ours and by transformers."""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks._smart_ends import ENDS, show
from benchmarks._table_net import table_module
from musiczoo.callbacks import ProceduralPrompts
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.representations.remi import EOS, PAD


def clock(work: Callable[[], list[Tensor]]) -> dict[str, float]:
    """Seconds and tokens of one call that returns sampled tokens."""
    wall, processor = time.perf_counter(), time.process_time()
    sampled = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "wall": wall,
        "processor": processor,
        "tokens": sum(before_end(tokens) for tokens in sampled),
    }


def before_end(tokens: Tensor) -> int:
    """How many tokens stand before the first EOS."""
    ends = (tokens == EOS).nonzero()
    return int(ends[0]) if len(ends) else len(tokens)


def ours(module: Phi3RemiModule, prompts: list[Tensor], new: int, seed: int) -> list[Tensor]:
    """Sampled tokens of each prompt by our generator."""
    results = module.generate(
        prompts,
        generator=torch.Generator().manual_seed(seed),
        max_new_tokens=new,
        batch_size=len(prompts),
    )
    return [result.tokens[result.scored] for result in results]


def theirs(module: Phi3RemiModule, prompts: list[Tensor], new: int, seed: int) -> list[Tensor]:
    """Sampled tokens of each prompt by transformers."""
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
    """Largest difference between our log-probabilities and those of transformers, same tokens."""
    worst = 0.0
    for result in module.generate(
        prompts[:4], generator=torch.Generator().manual_seed(0), max_new_tokens=64
    ):
        with torch.no_grad():
            logits = module.net(result.tokens.unsqueeze(0)).logits[0, :-1]
        log_probs = (
            logits.log_softmax(-1)
            .gather(1, result.tokens[1:].unsqueeze(1))
            .squeeze(1)[result.scored[1:]]
        )
        worst = max(worst, float((log_probs - result.log_probs[result.scored]).abs().max()))
    return worst


def compared_sampling(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """The first part with one probability of an end."""
    module = table_module(arguments, ENDS[name])
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
        show(
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
