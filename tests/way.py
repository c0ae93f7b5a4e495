"""Counts the modules of ours in which code runs from ``musiczoo.load`` through ``generate``.

Each function, method, lambda and comprehension that runs counts for its file, ``__init__`` files
too; the bodies of modules and classes do not. What runs while a module is imported counts where it
is such a function. Run it in a fresh process::

    python tests/way.py bar-stream
"""

from __future__ import annotations

import inspect
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

# Not of ours, and so that its own imports are not watched.
import torch

PATCHES = 200


class Watch:
    """Notes the functions that run, by the file that defines them.

    Args:
        inside: Where our files lie.
    """

    def __init__(self, inside: Path) -> None:
        self.inside = f"{inside}/"
        self.ran: dict[str, set[str]] = {}

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        name = code.co_filename
        # Bodies of modules and classes are not optimised; functions and comprehensions are.
        if (
            code.co_flags & inspect.CO_OPTIMIZED
            and name.startswith(self.inside)
            and "/site-packages/" not in name
        ):
            self.ran.setdefault(name.removeprefix(self.inside), set()).add(code.co_qualname)

    def run(self, act: Callable[[], Any]) -> Any:
        """Calls a function and watches it, in all its threads."""
        threading.settrace(self)
        sys.settrace(self)
        try:
            return act()
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]


def way(name: str) -> Any:
    """Loads a model and generates a piece, with labels where the model was trained with some."""
    import musiczoo

    model: Any = musiczoo.load(name)
    prompt = next(iter(getattr(model, "prompts", ())), "")
    return model.generate([prompt], max_length=PATCHES, generator=torch.Generator().manual_seed(0))


def main() -> None:
    """Prints the files, and the functions that ran in them, as JSON."""
    root = Path(sys.argv[2] if len(sys.argv) > 2 else __file__).resolve()
    watch = Watch(root if root.is_dir() else root.parents[1])
    watch.run(lambda: way(sys.argv[1]))
    sys.stdout.write(json.dumps({name: sorted(watch.ran[name]) for name in sorted(watch.ran)}))


if __name__ == "__main__":
    main()
