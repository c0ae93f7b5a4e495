"""PNG files of matplotlib figures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from musiczoo.music.atomic import write_atomically


def chart(width: float, height: float, dpi: int) -> Any:
    """An empty ``matplotlib.figure.Figure`` that arranges its axes itself.

    Args:
        width: Inches.
        height: Inches.
        dpi: Dots an inch.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def png_of(figure: Any, path: str | Path | None = None) -> bytes:
    """A figure as a PNG file's bytes; equal figures give equal bytes.

    Args:
        figure: A ``matplotlib.figure.Figure``.
        path: File that is written as well, or None.

    Raises:
        MusicZooError: The path cannot be written.
    """
    # The object interface with the Agg canvas: pyplot keeps figures in a global state and may open
    # windows.
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    stream = io.BytesIO()
    # The version of matplotlib in the file would make equal pictures differ.
    FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})  # type: ignore[no-untyped-call]
    data = stream.getvalue()
    if path is not None:
        write_atomically(path, data)
    return data


def without_formulas(text: str) -> str:
    """A text in which a dollar sign does not start a formula of matplotlib."""
    return text.replace("$", r"\$")
