"""FSDP2 by way of run_stages: two processes with half of the parameters each compute what one process does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from musiczoo import run_stages
from musiczoo.hub.checkpoint import open_checkpoint
from tests.zoo.fsdp_stages import plan

ROOT = Path(__file__).parents[2]


def start(folder: Path) -> subprocess.CompletedProcess[str]:
    # Not under the root of the tree, where `import music` would work.
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, str(ROOT / "tests/zoo/fsdp_stages.py"), str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=folder
    )


@pytest.mark.dist
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_sharded_stages_equal_whole_ones_also_when_stopped(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    stopped = start(tmp_path)
    assert stopped.returncode != 0
    [point] = (tmp_path / "run/first/restart").glob("*.ckpt")
    assert point.is_dir(), stopped.stderr
    (tmp_path / "stop").unlink()
    done = start(tmp_path)
    assert done.returncode == 0, done.stderr
    run_stages(plan(4, devices=1), tmp_path / "whole")
    before = open_checkpoint(tmp_path / "whole/first/checkpoint").net.state_dict()
    for stage in ("first", "second"):
        one, two = (
            open_checkpoint(tmp_path / run / stage / "checkpoint").net for run in ("whole", "run")
        )
        for name, value in one.state_dict().items():
            torch.testing.assert_close(two.state_dict()[name], value, rtol=1e-5, atol=1e-5)
    assert (
        max(float((value - before[name]).abs().max()) for name, value in one.state_dict().items())
        > 0.01
    )
    batch = open_checkpoint(tmp_path / "run/second/checkpoint").reference_batch()
    losses = [
        open_checkpoint(tmp_path / run / "second/checkpoint")
        .reference_outputs(batch)["log_probs"]
        .sum()
        for run in ("whole", "run")
    ]
    assert float(losses[1]) == pytest.approx(float(losses[0]), rel=1e-5)
