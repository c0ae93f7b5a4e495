"""Sizes beside the other settings of a model move into its config."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from musiczoo.configs.flat_sizes import sizes_of, with_config, with_nested_sizes

PATH = "musiczoo.models.bar_stream.BarStreamModule"


def test_sizes_are_known_by_path_and_by_the_name_of_the_class() -> None:
    names = {"patch_layers", "char_layers", "hidden", "patch_size", "patch_length", "heads"}
    for path in (PATH, "musiczoo.models.bar_stream.module.BarStreamModule", "BarStreamModule"):
        assert names < sizes_of(path)
    for path in ("Nothing", "no.such.Module", "json.JSONDecoder", None, "", 3):
        assert sizes_of(path) == frozenset()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"hidden": 64, "seed": 1}, {"seed": 1, "config": {"hidden": 64}}),
        ({"config": {"hidden": 64}}, {"config": {"hidden": 64}}),
        (
            {"config": {"hidden": 64, "heads": 2}, "hidden": 32},
            {"config": {"hidden": 32, "heads": 2}},
        ),
        ({"config": None, "heads": 2}, {"config": {"heads": 2}}),
        ({"size": "small", "dropout": 0.0}, {"size": "small", "config": {"dropout": 0.0}}),
        ({"seed": 1}, {"seed": 1}),
    ],
)
def test_settings_of_a_model(given: dict, expected: dict) -> None:
    found = with_config({"class_path": PATH, "init_args": given})
    assert found == {"class_path": PATH, "init_args": expected}


def test_what_has_no_sizes_is_left_as_it_is() -> None:
    for model in ("previous", None, {"class_path": PATH}, {"init_args": {"hidden": 3}}):
        assert with_config(model) == model


def write(path: Path, **content: object) -> str:
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_words_and_files(tmp_path: Path) -> None:
    nested = write(
        tmp_path / "nested.yaml",
        model={"class_path": PATH, "init_args": {"config": {"heads": 2}}},
    )
    flat = write(
        tmp_path / "flat.yaml", model={"init_args": {"hidden": 8}}, trainer={"max_steps": 2}
    )
    words = ["fit", "--config", nested, f"--config={flat}", "--model.hidden=16"]
    words += ["--model.init_args.heads", "4", "--model.seed", "3", "--model.config.hidden", "32"]
    found = with_nested_sizes(words)
    assert found[:4] == ["fit", "--config", nested, "--config"]
    assert yaml.safe_load(found[4]) == {
        "model": {"init_args": {"config": {"hidden": 8}}},
        "trainer": {"max_steps": 2},
    }
    assert found[5:] == [
        "--model.config.hidden=16",
        "--model.config.heads",
        "4",
        "--model.seed",
        "3",
        "--model.config.hidden",
        "32",
    ]


def test_the_class_may_be_a_word() -> None:
    for words in (["--model", "BarStreamModule"], [f"--model.class_path={PATH}"]):
        assert with_nested_sizes([*words, "--model.hidden", "8"])[-2:] == [
            "--model.config.hidden",
            "8",
        ]


def test_without_a_known_class_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("model: [")
    for config in ("nowhere.yaml", str(tmp_path / "broken.yaml")):
        words = ["fit", "--config", config, "--model.hidden", "8"]
        assert with_nested_sizes(words) == words
