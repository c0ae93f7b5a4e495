"""The folder of a run of rollouts."""

from __future__ import annotations

import json
import math

import pytest
import torch

from musiczoo.callbacks.rollouts.files import Completion, RolloutFiles
from musiczoo.music.errors import MusicZooError


def completion(number: int, **settings: object) -> Completion:
    tokens = torch.arange(6, dtype=torch.uint8).reshape(3, 2)
    mask = torch.tensor([False, True, True, False])
    own = {
        "prompt": "Bar_None",
        "text": f"text {number}",
        "tokens": tokens,
        "stop": "end",
        "completion": mask,
    }
    return Completion(
        number,
        number // 2,
        **{**own, "log_probs": torch.tensor([0.0, -1.0, -2.0, 0.0]), **settings},
    )


def test_a_step_is_read_as_it_was_written(tmp_path):
    files = RolloutFiles(tmp_path / "deep/run")
    files.write_step(
        3,
        [
            completion(0, reward=0.5, details={"CE": 0.25, "CU": 0.75}, advantage=-1.0, kl=0.1),
            completion(1, reason="no sound"),
        ],
    )
    good, bad = files.step(3)
    assert torch.equal(good["tokens"], completion(0).tokens)
    assert good["tokens"].dtype == torch.uint8
    assert (good["step"], good["number"], good["group"], good["prompt"], good["text"]) == (
        3,
        0,
        0,
        "Bar_None",
        "text 0",
    )
    assert (good["sampled"], good["log_prob"], good["reward"], good["advantage"], good["kl"]) == (
        2,
        -3.0,
        0.5,
        -1.0,
        0.1,
    )
    assert good["details"] == {"CE": 0.25, "CU": 0.75}
    assert (bad["reason"], bad["details"]) == ("no sound", {})
    assert math.isnan(bad["reward"])
    assert files.steps() == [3]


def test_a_folder_belongs_to_one_run(tmp_path):
    files = RolloutFiles(tmp_path / "run")
    files.claim({"seed": 1, "reward": "letters"})
    files.claim({"seed": 1, "reward": "letters"})
    with pytest.raises(MusicZooError, match="another run: reward, seed differ"):
        files.claim({"seed": 2, "reward": "notes"})
    for content in ("[]", "{"):
        (tmp_path / "run/plan.json").write_text(content)
        with pytest.raises(MusicZooError, match=r"plan\.json.*Delete"):
            files.claim({"seed": 1})


def test_later_steps_are_forgotten_and_nothing_else(tmp_path):
    files = RolloutFiles(tmp_path)
    for step in (1, 2, 12):
        files.write_step(step, [completion(0)])
        (files.media(step) / "00-0.mid").write_bytes(b"x")
        (files.media(step, preview=True) / "best.mid").write_bytes(b"x")
    (tmp_path / "steps/notes.txt").write_text("mine")
    files.forget_after(1)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [
        "previews/00001/best.mid",
        "steps/00001.parquet",
        "steps/00001/00-0.mid",
        "steps/notes.txt",
    ]


def test_what_cannot_be_read(tmp_path):
    files = RolloutFiles(tmp_path)
    with pytest.raises(
        MusicZooError, match=r"00004\.parquet: A file of the rollouts cannot be read.*another step"
    ):
        files.step(4)
    files.write_step(4, [completion(0)])
    (tmp_path / "steps/00004.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        MusicZooError, match=r"00004\.parquet: A file of the rollouts cannot be read.*another step"
    ):
        files.step(4)
    (tmp_path / "file").write_text("")
    with pytest.raises(MusicZooError, match="folder for the rollouts cannot be created"):
        RolloutFiles(tmp_path / "file/run").write_step(1, [])


def test_reports_hold_no_nan(tmp_path):
    RolloutFiles(tmp_path).write_reports(
        [{"step": 1, "reward": math.nan, "seconds": {"update": math.inf}}]
    )
    assert json.loads((tmp_path / "reports.json").read_text()) == [
        {"step": 1, "reward": None, "seconds": {"update": None}}
    ]
