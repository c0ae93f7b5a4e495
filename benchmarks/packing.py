"""Products of a few rows: the kernels behind ``packed_linear`` beside the plain product.

Sizes are those of a block of NotaGen-small (bar-stream) and of SMART's Phi-3, with the numbers of
rows of their steps. Each pass multiplies with all four layers of twelve (three, four) blocks, so
that weights come from memory, and the kinds take turns.

python -m benchmarks.packing [--repetitions 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from musiczoo.models.layers.packed_linear import packed_linear

# (out, in) of the layers of a block, blocks, numbers of rows.
SIZES = {
    "bar-stream patches": ([(2304, 768), (768, 768), (3072, 768), (768, 3072)], 12, (1, 8, 16)),
    "bar-stream characters": ([(2304, 768), (768, 768), (3072, 768), (768, 3072)], 3, (8, 16, 32)),
    "phi3-remi": ([(1536, 512), (512, 512), (4096, 512), (512, 2048)], 4, (1, 16, 64)),
}
Pass = Callable[[], None]


def passes(shapes: list[tuple[int, int]], blocks: int, rows: int) -> dict[str, Pass]:
    """A pass over all layers for each kind."""
    generator = torch.Generator().manual_seed(0)
    weights = [
        torch.randn(shape, generator=generator) / 30 for _ in range(blocks) for shape in shapes
    ]
    inputs = {width: torch.randn(rows, width, generator=generator) for _, width in shapes}

    def run(layers: list[Callable[[Tensor], Tensor]]) -> Pass:
        def once() -> None:
            for layer, weight in zip(layers, weights, strict=True):
                layer(inputs[weight.shape[1]])

        return once

    return {
        "plain": run([lambda x, w=w: F.linear(x, w) for w in weights]),
        "onednn": run([packed_linear(w) for w in weights]),
        "mkl": run([packed_linear(w, kernel="mkl", rows=(rows,)) for w in weights]),
    }


def measure(kinds: dict[str, Pass], repetitions: int) -> dict[str, dict[str, float]]:
    """Milliseconds a pass by the clock and by the processor, the medians of the repetitions."""
    clock: dict[str, list[float]] = {name: [] for name in kinds}
    busy: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(repetitions):
        for name, once in kinds.items():
            once()
            count = 0
            began, worked = time.perf_counter(), time.process_time()
            while time.perf_counter() - began < 0.3:
                once()
                count += 1
            clock[name].append(1000 * (time.perf_counter() - began) / count)
            busy[name].append(1000 * (time.process_time() - worked) / count)
    return {
        name: {
            "ms": round(statistics.median(clock[name]), 3),
            "processor_ms": round(statistics.median(busy[name]), 3),
        }
        for name in kinds
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="one repetition, to see that it runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name, (shapes, blocks, counts) in SIZES.items():
        for rows in counts:
            print(f"{name}, {rows} rows", file=sys.stderr)
            kinds = passes(shapes, blocks, rows)
            found[f"{name}, {rows} rows"] = measure(
                kinds, 1 if options.tiny else options.repetitions
            )
    print(json.dumps({"threads": 1, "products": found}, indent=1))


if __name__ == "__main__":
    main()
