"""Generation at NotaGen-small's size: ours beside the plain way, in one run.

Prints one JSON object. The plain way is timed at contexts spread over the piece and its time for
the whole piece is the integral (Simpson) of these; ``--full`` generates the whole piece the plain
way. At every context timed its patch is compared with ours.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import torch

from benchmarks._music_net import longest_prompt, narrow_net, widen
from benchmarks._plain_way import plain_patch
from musiczoo.models.bar_stream import BarStreamNet
from musiczoo.models.bar_stream.generation import BarStreamGenerator, Stream
from musiczoo.models.sampling import Sampling
from musiczoo.representations.bar_stream import BarStreamPatches


class NeverEnds:
    """A guard that forbids the end, so that every piece reaches the wanted length."""

    def for_piece(self, prompt: str) -> NeverEnds:
        return self

    def mask(self, partial: str) -> np.ndarray:
        mask = np.ones(128, dtype=bool)
        mask[1] = False
        return mask

    def commit(self, patch: str) -> None:
        pass


@dataclass(frozen=True)
class Run:
    """What one call of our generator did.

    Attributes:
        streams: The pieces.
        seconds: All of it, packing the weights included.
        steps: Seconds of each step (one patch for every piece).
        passes: Passes of the character decoder.
        rows: Rows of all these passes.
    """

    streams: list[Stream]
    seconds: float
    steps: list[float]
    passes: int
    rows: int


def generate(
    net: BarStreamNet, pieces: int, length: int, draft: int | None = None, half: bool = False
) -> Run:
    """Times our generator."""
    text = longest_prompt()
    prompt = BarStreamPatches().encode_text(text, annotate=False, end=False)
    started = time.perf_counter()
    options = {"max_length": length, "slots": pieces, "draft": draft, "half_weights": half}
    loop = BarStreamGenerator(
        net, Sampling(), guard=NeverEnds(), start_at_first_bar=False, **options
    )
    counted = [0, 0]
    run = loop.char_decoder.run

    def count(conditions: torch.Tensor, slots: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        counted[0] += 1
        counted[1] += len(slots)
        return run(conditions, slots, *rest)

    loop.char_decoder.run = count
    ticks = [time.perf_counter()]
    streams: dict[int, Stream] = {}
    for running in loop.run([prompt] * pieces, [text] * pieces, list(range(pieces))):
        ticks.append(time.perf_counter())
        streams.update({stream.index: stream for stream in running})
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    return Run([streams[i] for i in range(pieces)], ticks[-1] - started, steps, *counted)


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
    """Integral of seconds a patch over the patches.

    Contexts equally spaced, an odd number of them.
    """
    weights = np.array([1] + [4, 2] * ((len(contexts) - 3) // 2) + [4, 1])
    return float((np.array(seconds) * weights).sum() * (contexts[1] - contexts[0]) / 3)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=1000, help="patches of a piece")
    parser.add_argument(
        "--points", type=int, default=9, help="contexts at which the plain way is timed (odd)"
    )
    parser.add_argument(
        "--repeats", type=int, default=2, help="patches timed at each context (the best counts)"
    )
    parser.add_argument("--pieces", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--full",
        action="store_true",
        help="generate the whole piece the plain way (a quarter of an hour)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(platformdirs.user_cache_dir("musiczoo")) / "benchmarks" / "narrow.pt",
    )
    return parser


@dataclass(frozen=True)
class Plain:
    """The plain way, timed on the piece that our generator wrote.

    Attributes:
        seconds: Of the whole piece.
        contexts: Lengths of the contexts that were timed.
        times: Seconds of a patch at each of them.
        same: Patches that were equal to ours.
    """

    seconds: float
    contexts: list[int]
    times: list[float]
    same: int


def time_plain(net: BarStreamNet, stream: Stream, arguments: argparse.Namespace) -> Plain:
    """Times the plain way with the random numbers of our generator."""
    prompt = stream.prompt_length
    patches = [patch + [0] * (16 - len(patch)) for patch in stream.patches]
    # One seed a piece and sixteen numbers a patch, as our generator draws them.
    random = torch.Generator().manual_seed(0)
    uniforms = [
        torch.rand(16, generator=random, dtype=torch.float64).tolist() for _ in stream.log_probs
    ]

    def plain_way(context: torch.Tensor) -> list[int]:
        return plain_patch(net, context, Sampling(), uniforms[len(context) - prompt])

    contexts = [int(c) for c in np.linspace(prompt, arguments.length - 1, arguments.points).round()]
    seconds = []
    same = 0
    for length in contexts:
        times = []
        for _ in range(arguments.repeats):
            started = time.perf_counter()
            same += plain_way(torch.tensor(patches[:length])) == stream.patches[length]
            times.append(time.perf_counter() - started)
        seconds.append(min(times))
    whole = simpson(contexts, seconds)
    if arguments.full:
        started = time.perf_counter()
        context = torch.tensor(patches[:prompt])
        while len(context) < arguments.length:
            chars = plain_way(context)
            context = torch.cat([context, torch.tensor([chars + [0] * (16 - len(chars))])])
        whole = time.perf_counter() - started
        assert context.tolist() == patches, "The plain way generated something else."
    return Plain(whole, contexts, seconds, same)


@dataclass(frozen=True)
class Reporting:
    """What every run is compared with.

    Attributes:
        net: The net.
        ours: Our run of one piece.
        plain: Seconds of the same piece the plain way.
        speed: Bytes a second that are read from memory.
    """

    net: BarStreamNet
    ours: Run
    plain: float
    speed: float

    def figures(self, run: Run, weight_bytes: int = 4) -> dict[str, float | int | bool]:
        """The figures of one run; ``weight_bytes`` are those of one weight."""
        config, first = self.net.config, self.ours.streams[0]
        pieces, count = len(run.streams), len(run.steps)
        weights = (
            12
            * config.hidden**2
            * weight_bytes
            * (config.patch_layers * count + config.char_layers * run.passes)
        )
        positions = count * (first.prompt_length + count / 2)
        caches = pieces * 8 * config.patch_layers * config.hidden * positions
        bound = (weights + caches) / self.speed
        written = sum(len(values) for one in run.streams for values in one.log_probs)
        share_of_piece = count / len(self.ours.steps)
        last, early = statistics.mean(run.steps[-100:]), statistics.mean(run.steps[:100])
        return {
            "seconds": round(run.seconds, 2),
            "ratio_to_plain": round(pieces * self.plain * share_of_piece / run.seconds, 2),
            "pieces_per_minute": round(60 * pieces * share_of_piece / run.seconds, 3),
            "milliseconds_per_patch": round(1e3 * run.seconds / count / pieces, 2),
            "last_100_over_first_100": round(last / early, 3),
            "bandwidth_bound_seconds": round(bound, 2),
            "share_of_bound": round(bound / run.seconds, 3),
            "char_passes_per_step": round(run.passes / count, 2),
            "rows_per_pass": round(run.rows / run.passes, 2),
            "characters_per_patch": round(written / count / pieces, 2),
            "same_as_one_piece": (
                run.streams[0].patches == first.patches[: len(run.streams[0].patches)]
            ),
        }


def main() -> None:
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.threads)
    net = widen(narrow_net(arguments.cache))
    speed = bandwidth()
    ours = generate(net, 1, arguments.length)
    plain = time_plain(net, ours.streams[0], arguments)
    undrafted = generate(net, 1, min(arguments.length, 250), draft=0)
    half = generate(net, 1, arguments.length, half=True)
    batch = generate(net, arguments.pieces, arguments.length)
    half_batch = generate(net, arguments.pieces, arguments.length, half=True)
    figures = Reporting(net, ours, plain.seconds, speed).figures
    times = (round(seconds, 3) for seconds in plain.times)
    result = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": arguments.threads,
            "torch": torch.__version__,
        },
        "parameters": sum(p.numel() for p in net.parameters()),
        "patches": arguments.length,
        "read_bandwidth_GB_s": round(speed / 1e9, 2),
        "plain": {
            "seconds": round(plain.seconds, 1),
            "whole_piece_run": arguments.full,
            "pieces_per_minute": round(60 / plain.seconds, 4),
            "seconds_per_patch": dict(zip(map(str, plain.contexts), times, strict=True)),
            "patches_identical_to_ours": (
                f"{plain.same} of {len(plain.contexts) * arguments.repeats}"
            ),
        },
        "one_piece": figures(ours),
        "one_piece_without_drafts_first_patches": figures(undrafted),
        "one_piece_float16_weights": figures(half, 2),
        f"{arguments.pieces}_pieces": figures(batch),
        f"{arguments.pieces}_pieces_float16_weights": figures(half_batch, 2),
    }
    json.dump(result, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
