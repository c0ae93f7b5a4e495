"""The model card states the known facts, and names the unknown ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from musiczoo.hub.card import Card, Figure, Source, render_card
from musiczoo.hub.card_fields import IDENTIFIERS, check_licence
from musiczoo.hub.checkpoint import read_checkpoint, save_checkpoint
from musiczoo.music.errors import MusicZooError
from tests.hub.models import bar_stream

FULL = Card(
    title="Tiny | reels",
    summary="A tiny model\nof two lines.",
    load_name="hf-hub:me/tiny@v1",
    licence="other",
    licence_name="My own",
    licence_link="https://example.org/terms",
    origin="Ourselves, after Wang et al. 2025",
    data=(Source("ryan", "no licence is stated", 1059),),
    figures=(Figure("bits per character", 1.4375, "held-out works of ryan", "3 seeds"),),
    intended_use="Playing.",
    limits="Reels alone.",
)


def test_a_full_card(tmp_path: Path) -> None:
    folder = save_checkpoint(bar_stream(), tmp_path / "saved", card=FULL)
    assert read_checkpoint(folder).card == FULL
    card = ModelCard.load(folder / "README.md")
    data = card.data
    assert (data.license, data.license_name, data.license_link) == (
        "other",
        "My own",
        "https://example.org/terms",
    )
    assert (data.library_name, data.base_model, data.base_model_relation) == (
        "musiczoo",
        "org/base",
        "finetune",
    )
    [result] = data.eval_results
    assert (result.metric_name, result.metric_value, result.dataset_name) == (
        "bits per character",
        1.4375,
        "held-out works of ryan",
    )
    for words in (
        'model = musiczoo.load("hf-hub:me/tiny@v1")',
        r"%Baroque\n%Bach, Johann Sebastian\n%Choral\n",
        "A tiny model of two lines.",
        "[My own](https://example.org/terms)",
        "Ourselves, after Wang et al. 2025",
        "| ryan | 1,059 | no licence is stated |",
        "| bits per character | 1.4375 | held-out works of ryan | 3 seeds |",
        "Playing.",
        "Reels alone.",
        "Started from `hf-hub:org/base` (revision abc).",
        "steps 7",
        "| Traditional | O'Neill's Music of Ireland | reel | 12 |",
    ):
        assert words in card.text, words


def test_a_card_of_which_little_is_known_admits_it(tmp_path: Path) -> None:
    model = bar_stream()
    model.prompts, model.provenance = (), {"training": []}
    text = (save_checkpoint(model, tmp_path / "saved") / "README.md").read_text()
    for words in (
        "license: unknown",
        "Nothing was measured.",
        "does not name the training data",
        "not recorded",
        "trained without labels",
    ):
        assert words in text
    for words in ("More Information Needed", "None", "base_model", "model-index", "TODO"):
        assert words not in text


def test_the_data_of_the_record_is_named_where_the_publisher_names_none(tmp_path: Path) -> None:
    model = bar_stream()
    model.provenance = {
        "training": [
            {"steps": 3, "corpus": ["ryan", "my_scores"]},
            {"steps": 4, "corpus": ["aird"]},
        ]
    }
    text = (save_checkpoint(model, tmp_path / "saved") / "README.md").read_text()
    assert "aird, my_scores, ryan. The publisher does not state the terms." in text


def test_many_prompts_are_not_all_shown(tmp_path: Path) -> None:
    folder = save_checkpoint(bar_stream(), tmp_path / "saved")
    content = json.loads((folder / "config.json").read_text())
    content["conditioning"]["prompts"] = [
        ["Romantic", f"Composer {number:03}", "Art Song", number] for number in range(1, 101)
    ]
    text = render_card(content)
    assert "Composer 100" in text
    assert "Composer 040" not in text
    assert "And 40 more" in text


def test_figures_replace_those_of_the_same_metric_and_data() -> None:
    card = Card(figures=(Figure("loss", 2.0), Figure("loss", 3.0, "reels")))
    changed = card.with_figures({"loss": 1, "bits": {"value": 4, "how": "x"}})
    assert changed.figures == (
        Figure("loss", 1.0),
        Figure("loss", 3.0, "reels"),
        Figure("bits", 4.0, "held-out works", "x"),
    )
    assert Card.from_dict(json.loads(json.dumps(FULL.to_dict()))) == FULL
    with pytest.raises(MusicZooError, match="colour"):
        Card.from_dict({"colour": "red"})


def test_licences() -> None:
    assert {
        "mit",
        "apache-2.0",
        "cc-by-nc-sa-4.0",
        "other",
        "unknown",
        "bsd-3-clause-clear",
        "cc0-1.0",
    } <= IDENTIFIERS
    for wrong, near in {
        "MIT": "mit",
        "cc-by-sa": "cc-by-sa-4.0",
        "gpl3": "gpl-3.0",
        "CC0": "cc0-1.0",
    }.items():
        with pytest.raises(MusicZooError, match=near):
            check_licence(wrong)
    with pytest.raises(MusicZooError, match="'other', with its name"):
        check_licence("all rights reserved by me")
