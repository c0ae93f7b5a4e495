"""PNG files of figures."""

from __future__ import annotations

import pytest

from musiczoo.music.errors import MusicZooError
from musiczoo.music.pictures.charts import chart, png_of, without_formulas


def test_png(tmp_path):
    def drawn():
        figure = chart(2.0, 1.0, 50)
        figure.subplots().plot([1, 2], label=without_formulas("for $5 or $6"))
        return figure

    data = png_of(drawn(), tmp_path / "chart.png")
    assert data.startswith(b"\x89PNG")
    assert data == png_of(drawn()) == (tmp_path / "chart.png").read_bytes()
    with pytest.raises(MusicZooError):
        png_of(drawn(), tmp_path / "no folder" / "chart.png")
