"""The page of `make smart` is that of the figures beside it."""

from __future__ import annotations

import json
from pathlib import Path

from experiments._smart_table import markdown

RESULTS = Path(__file__).parents[2] / "docs/results"


def test_the_page_in_the_docs_is_that_of_the_figures_beside_it() -> None:
    document = json.loads((RESULTS / "smart.json").read_text())
    assert markdown(document) == (RESULTS / "smart.md").read_text()
