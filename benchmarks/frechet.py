"""Frechet music distance: singular values beside a matrix square root, same features, in one run.

Prints one JSON object.

    python -m benchmarks.frechet

The plain way is the usual computation: both covariances, and scipy's square root of
their product.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch

from musiczoo.metrics.frechet import frechet_distance
from musiczoo.metrics.gaussian import ESTIMATORS


def plain(features: torch.Tensor, reference: torch.Tensor) -> float:
    """The distance by a square root of the product of the covariances."""
    one, other = features.numpy(), reference.numpy()
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    means = one.mean(axis=0) - other.mean(axis=0)
    return float(
        means @ means
        + np.trace(covariances[0])
        + np.trace(covariances[1])
        - 2 * np.trace(root).real
    )


def seconds(function: Callable[[], float], repeats: int) -> tuple[float, float]:
    """The least and the median of several runs."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return min(taken), statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pieces", type=int, default=300)
    parser.add_argument("--dimensions", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    shape = (options.pieces, options.dimensions)
    one = torch.randn(shape, generator=generator, dtype=torch.float64)
    other = torch.randn(shape, generator=generator, dtype=torch.float64) + 0.05
    # The first call of each, which also sets up the library, is not timed.
    frechet_distance(one[:10], other[:10])
    scipy.linalg.sqrtm(np.eye(10))
    theirs = seconds(lambda: plain(one, other), max(1, options.repeats // 2))
    ours = {
        name: seconds(lambda name=name: frechet_distance(one, other, name).value, options.repeats)
        for name in ESTIMATORS
    }
    result = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": options.threads,
            "torch": torch.__version__,
        },
        "pieces": options.pieces,
        "dimensions": options.dimensions,
        "plain_seconds": round(theirs[0], 4),
        "seconds": {name: round(least, 4) for name, (least, _) in ours.items()},
        "times_faster": {name: round(theirs[0] / least, 1) for name, (least, _) in ours.items()},
        "times_faster_by_median": {
            name: round(theirs[1] / median, 1) for name, (_, median) in ours.items()
        },
        "distance": {
            "plain": plain(one, other),
            **{name: frechet_distance(one, other, name).value for name in ESTIMATORS},
        },
    }
    json.dump(result, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
