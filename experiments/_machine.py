"""Facts of the machine and of the libraries, for reports."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path


def processor_name() -> str:
    """Name of the processor's model, from ``/proc/cpuinfo`` where there is one."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def machine() -> dict[str, str | int | None]:
    """Processor and number of cores."""
    return {"processor": processor_name(), "cores": os.cpu_count()}


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of the packages."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
