"""Seeds of the parts of a run, mixed from its numbers."""

from __future__ import annotations

import hashlib


def seed_of(*numbers: int) -> int:
    """A 56-bit seed from numbers such as the run's seed, a step, and a chunk.

    The same in every process and Python version.
    """
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest())
