"""Every plan that comes with musiczoo is read, and runs with tiny sizes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from musiczoo import run_stages
from musiczoo.configs.recipes import plan_file, plans
from musiczoo.hub.checkpoint import open_checkpoint
from musiczoo.llm.records import QARecord, write_records
from musiczoo.models.base.generative import Generated
from musiczoo.rewards.base import Reward, Scores
from musiczoo.stages.run import open_plan
from tests.zoo.readable import make_pieces_readable
from tests.zoo.tiny_stages import QUIET, tune

pytestmark = pytest.mark.filterwarnings("ignore")


class Length(Reward):
    """The longer the better."""

    name = "length"

    def score(self, pieces: Sequence[Generated]) -> Scores:
        return Scores(
            torch.tensor([float(len(piece.text)) for piece in pieces]).double(),
            (None,) * len(pieces),
        )


def make_questions(folder: Path) -> None:
    """Questions about the scores."""
    rows = [
        QARecord(f"{number}:{n}", f"{number}.abc", "Which key?", "C major.", "key")
        for number in range(8)
        for n in range(3)
    ]
    write_records(folder / "questions.jsonl", rows)


def tiny(plan: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The plan with sizes and places replaced alone."""
    plan["trainer"] = {**plan["trainer"], **QUIET, "precision": "32-true", "devices": 1}
    for stage in plan["stages"]:
        if stage["data"]["class_path"].endswith("MusicQADataModule"):
            make_questions(folder)
            if isinstance(stage["start"], dict):
                # No Llama is here.
                stage["start"]["init_args"]["lm"] = "qa-lm-small"
            own = {"records": str(folder / "questions.jsonl"), "root": str(folder / "scores")}
            stage["data"]["init_args"] |= {**own, "cache": str(folder), "num_workers": 0}
            stage["data"]["init_args"]["progress"] = False
            stage["max_steps"] = 2
            continue
        if isinstance(stage.get("start"), dict):
            stage["start"]["init_args"] |= {
                "size": None,
                "patch_layers": 1,
                "char_layers": 1,
                "hidden": 32,
                "heads": 2,
                "patch_length": 48,
            }
        stage["data"]["init_args"] |= {
            "corpus": str(folder / "scores"),
            "cache": str(folder),
            "num_workers": 0,
            "progress": False,
        }
        stage["max_epochs"] = 1
        for callback in stage["callbacks"]:
            if callback["class_path"].endswith("PreferenceRounds"):
                sizes = {
                    "rounds": 2,
                    "steps": 2,
                    "samples": 6,
                    "encoder": "m3-small",
                    "plagiarism": None,
                    "min_works": 1,
                    "progress": False,
                }
                reward = {"class_path": f"{__name__}.Length"}
                prompts = [
                    {
                        "period": "Baroque",
                        "composer": "Bach, Johann Sebastian",
                        "instrumentation": "Choral",
                    }
                ]
                callback["init_args"] = {
                    **callback["init_args"],
                    **sizes,
                    "reward": reward,
                    "prompts": prompts,
                    "fraction": 0.34,
                }
                stage["max_epochs"] = 2
    return plan


@pytest.mark.parametrize("plan", plans())
def test_every_plan_is_read(plan: str) -> None:
    stages, parents = open_plan(plan_file(plan))
    assert len(stages) == len(parents) > 1


def test_the_notagen_plan_branches() -> None:
    _, parents = open_plan(plan_file("bar_stream/notagen_plan"))
    assert parents == {
        "pretrain": None,
        "posttrain": "pretrain",
        "finetune": "posttrain",
        "clamp_dpo": "finetune",
        "finetune_without_posttrain": "pretrain",
        "clamp_dpo_without_posttrain": "finetune_without_posttrain",
    }


@pytest.mark.parametrize("plan", plans())
def test_every_plan_says_where_its_numbers_come_from(plan: str) -> None:
    lines = plan_file(plan).read_text().splitlines()
    for place, line in enumerate(lines):
        if (
            re.search(
                r": (true|false|[0-9.e-]+|\w*mixed|32-true|pretrain|finetune|best)( |$)", line
            )
            and "start:" not in line
            and "name:" not in line
        ):
            assert any("#" in lines[near] for near in range(max(0, place - 2), place + 1)), (
                f"{plan}:{place + 1}: {line.strip()}"
            )


@pytest.mark.slow
@pytest.mark.parametrize("plan", plans())
def test_every_plan_runs_with_tiny_sizes(
    plan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pieces_readable(monkeypatch)
    (tmp_path / "scores").mkdir()
    from musiczoo.music.abc import write_abc

    for number in range(8):
        (tmp_path / f"scores/{number}.abc").write_text(write_abc(tune(number)))
    content = tiny(yaml.safe_load(plan_file(plan).read_text()), tmp_path)
    (tmp_path / "tiny_plan.yaml").write_text(yaml.safe_dump(content))
    made = run_stages(tmp_path / "tiny_plan.yaml", tmp_path / "run")
    asked = {stage["name"]: stage["optimizer"]["init_args"]["lr"] for stage in content["stages"]}
    for name, folder in made.items():
        model = open_checkpoint(folder)
        assert model.stage == name
        assert f"{asked[name]:g}" in model.provenance["training"][-1]["optimizer"] or name in (
            "pretrain",
            "align",
            "instruct",
        )
    assert len(model.provenance["training"]) == (2 if "llama" in plan else 3)
