"""Progress, and the probabilities that a sequence ends, of benchmarks/smart.py."""

from __future__ import annotations

import sys

ENDS = {"never": 0.0, "ends": 1 / 413}
"""Probability of EOS after each token."""


def show(text: str) -> None:
    """Prints progress on standard error."""
    print(text, file=sys.stderr, flush=True)
