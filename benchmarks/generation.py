"""Generation at NotaGen-small's size: ours beside the plain way, in one run.

Prints one JSON object. The plain way is timed at contexts spread over the piece and its time for the whole piece is the integral
(Simpson) of these; ``--full`` generates the whole piece the plain way. At every context timed its patch is compared with ours.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import platformdirs
import torch

from benchmarks._plain_way import plain_patch
from benchmarks._speaking_net import longest_prompt, narrow_net, widen
from musiczoo.models.bar_stream import BarStreamNet
from musiczoo.models.bar_stream.generation import BarStreamGenerator, Stream
from musiczoo.models.sampling import Sampling
from musiczoo.representations.bar_stream import BarStreamPatches


class NeverEnds:
    """A guard that only forbids the end, so that every piece reaches the wanted length."""

    def for_piece(self, prompt: str) -> NeverEnds:
        return self

    def mask(self, partial: str) -> np.ndarray:
        mask = np.ones(128, dtype=bool)
        mask[1] = False
        return mask

    def commit(self, patch: str) -> None:
        pass


def generate(net: BarStreamNet, sampling: Sampling, pieces: int, length: int, draft: int | None, half: bool = False) -> dict[str, object]:
    """Times our generator; returns the streams, seconds of each patch step, and passes of the character decoder."""
    prompt = BarStreamPatches().encode_text(longest_prompt(), annotate=False, end=False)
    started = time.perf_counter()
    options = {"max_length": length, "slots": pieces, "draft": draft, "half_weights": half}
    loop = BarStreamGenerator(net, sampling, guard=NeverEnds(), start_at_first_bar=False, **options)
    passes, rows = 0, 0
    run = loop.char_decoder.run

    def counted(conditions: torch.Tensor, slots: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        nonlocal passes, rows
        passes, rows = passes + 1, rows + len(slots)
        return run(conditions, slots, *rest)

    loop.char_decoder.run = counted  # type: ignore[method-assign]
    ticks = [time.perf_counter()]
    streams: dict[int, Stream] = {}
    for running in loop.run([prompt] * pieces, [longest_prompt()] * pieces, list(range(pieces))):
        ticks.append(time.perf_counter())
        streams.update({stream.index: stream for stream in running})
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    chars = sum(len(values) for stream in streams.values() for values in stream.log_probs)
    patches = sum(len(stream.log_probs) for stream in streams.values())
    return {
        "streams": [streams[i] for i in range(pieces)],
        "prompt": len(prompt),
        "seconds": ticks[-1] - started,
        "steps": steps,
        "passes_per_patch": passes / len(steps),
        "rows_per_pass": rows / passes,
        "characters_per_patch": chars / patches,
    }


def bandwidth() -> float:
    """Bytes a second that this machine reads from memory (sum over 400 MB, best of five)."""
    data = torch.ones(100_000_000)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        data.sum()
        times.append(time.perf_counter() - started)
    return 4e8 / min(times)


def simpson(contexts: list[int], seconds: list[float]) -> float:
    """Integral of seconds a patch over the patches; contexts equally spaced, an odd number of them."""
    weights = np.array([1] + [4, 2] * ((len(contexts) - 3) // 2) + [4, 1])
    return float((np.array(seconds) * weights).sum() * (contexts[1] - contexts[0]) / 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=1000, help="patches of a piece")
    parser.add_argument("--points", type=int, default=9, help="contexts at which the plain way is timed (odd)")
    parser.add_argument("--repeats", type=int, default=2, help="patches timed at each context (the best counts)")
    parser.add_argument("--pieces", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--full", action="store_true", help="generate the whole piece the plain way (a quarter of an hour)")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("musiczoo")) / "benchmarks" / "narrow.pt")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    net = widen(narrow_net(arguments.cache))
    sampling = Sampling()
    speed = bandwidth()
    ours = generate(net, sampling, 1, arguments.length, None)
    undrafted = generate(net, sampling, 1, arguments.length, 0)
    stream: Stream = ours["streams"][0]  # type: ignore[index]
    patches = [patch + [0] * (16 - len(patch)) for patch in stream.patches]
    prompt = int(ours["prompt"])  # type: ignore[call-overload]
    random = torch.Generator().manual_seed(0)
    uniforms = [torch.rand(16, generator=random, dtype=torch.float64).tolist() for _ in stream.log_probs]

    contexts = [int(c) for c in np.linspace(prompt, arguments.length - 1, arguments.points).round()]
    same, seconds = 0, []
    full_seconds = None
    if arguments.full:
        started = time.perf_counter()
        context = torch.tensor(patches[:prompt])
        while len(context) < arguments.length:
            chars = plain_patch(net, context, sampling, uniforms[len(context) - prompt])
            context = torch.cat([context, torch.tensor([chars + [0] * (16 - len(chars))])])
        full_seconds = time.perf_counter() - started
        assert context.tolist() == patches, "The plain way wrote something else."
    for context_length in contexts:
        best = []
        for _ in range(arguments.repeats):
            started = time.perf_counter()
            chars = plain_patch(net, torch.tensor(patches[:context_length]), sampling, uniforms[context_length - prompt])
            best.append(time.perf_counter() - started)
            same += chars == stream.patches[context_length]
        seconds.append(min(best))
    plain = full_seconds or simpson(contexts, seconds)

    half = generate(net, sampling, 1, arguments.length, None, half=True)
    batch = generate(net, sampling, arguments.pieces, arguments.length, None)
    half_batch = generate(net, sampling, arguments.pieces, arguments.length, None, half=True)
    alike = batch["streams"][0].patches == stream.patches  # type: ignore[index]
    config = net.config
    patch_bytes = 4 * 12 * config.patch_layers * config.hidden**2
    char_bytes = 4 * 12 * config.char_layers * config.hidden**2
    key_bytes = 4 * 2 * config.patch_layers * config.hidden * arguments.length / 2
    count = arguments.length - prompt

    def bound(result: dict[str, object], pieces: int, share: float) -> float:
        """Seconds that reading weights and caches takes at the measured bandwidth."""
        weights = share * (patch_bytes + float(result["passes_per_patch"]) * char_bytes)  # type: ignore[arg-type]
        return count * (weights + pieces * key_bytes) / speed

    def report(result: dict[str, object], pieces: int, share: float = 1.0) -> dict[str, float]:
        steps: list[float] = result["steps"]  # type: ignore[assignment]
        own = float(result["seconds"])  # type: ignore[arg-type]
        return {
            "seconds": round(own, 2),
            "ratio_to_plain": round(pieces * plain / own, 2),
            "pieces_per_minute": round(60 * pieces / own, 3),
            "last_100_over_first_100": round(statistics.mean(steps[-100:]) / statistics.mean(steps[:100]), 3),
            "bandwidth_bound_seconds": round(bound(result, pieces, share), 2),
            "share_of_bound": round(bound(result, pieces, share) / own, 3),
            "char_passes_per_patch": round(float(result["passes_per_patch"]), 2),  # type: ignore[arg-type]
            "rows_per_pass": round(float(result["rows_per_pass"]), 2),  # type: ignore[arg-type]
            "characters_per_patch": round(float(result["characters_per_patch"]), 2),  # type: ignore[arg-type]
        }

    print(
        json.dumps(
            {
                "machine": {
                    "processor": platform.processor() or platform.machine(),
                    "threads": arguments.threads,
                    "torch": torch.__version__,
                },
                "parameters": sum(p.numel() for p in net.parameters()),
                "precision": "float32",
                "patches": arguments.length,
                "read_bandwidth_GB_s": round(speed / 1e9, 2),
                "plain": {
                    "seconds": round(plain, 1),
                    "whole_piece_run": arguments.full,
                    "pieces_per_minute": round(60 / plain, 4),
                    "seconds_per_patch": dict(zip(map(str, contexts), (round(s, 3) for s in seconds), strict=True)),
                    "patches_identical_to_ours": f"{same} of {len(contexts) * arguments.repeats}",
                },
                "one_piece": report(ours, 1),
                "one_piece_without_drafts": {**report(undrafted, 1), "identical": undrafted["streams"][0].patches == stream.patches},  # type: ignore[index]
                "one_piece_float16_weights": report(half, 1, 0.5),
                f"{arguments.pieces}_pieces": {**report(batch, arguments.pieces), "first_piece_identical": alike},
                f"{arguments.pieces}_pieces_float16_weights": report(half_batch, arguments.pieces, 0.5),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
