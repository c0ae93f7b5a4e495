from __future__ import annotations

import math

import lightning
import pytest
import torch

from musiczoo.datamodules import ScoreDataModule
from musiczoo.metrics import BitsPerSymbol
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.base.objective import TokenLogProbs
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError


def test_by_hand():
    values = torch.log(torch.tensor([[0.5, 0.25, 1.0], [0.125, 0.0, 0.0]]).clamp(min=1e-30))
    mask = torch.tensor([[True, True, True], [True, False, False]])
    metric = BitsPerSymbol("target")
    metric.update(TokenLogProbs(values * mask, mask))
    assert float(metric.compute()) == pytest.approx((1 + 2 + 0 + 3) / 4)
    metric.update(torch.tensor(-2 * math.log(2)), symbols=4)
    assert float(metric.compute()) == pytest.approx(8 / 8)
    assert metric.symbol == "target"


def test_other_symbols_of_the_same_texts():
    scores = TokenLogProbs(torch.full((1, 4), -math.log(2)), torch.ones(1, 4, dtype=torch.bool))
    metric = BitsPerSymbol("bar")
    metric.update(scores, symbols=2)
    assert float(metric.compute()) == pytest.approx(2.0)


@pytest.mark.filterwarnings("ignore:The ``compute``")
def test_what_cannot_be_a_number_of_symbols():
    metric = BitsPerSymbol()
    with pytest.raises(MusicZooError, match="no number of symbols"):
        metric.update(torch.tensor(-1.0))
    with pytest.raises(MusicZooError, match="0 symbols"):
        metric.update(torch.tensor(-1.0), symbols=0)
    assert math.isnan(metric.compute())


def test_small_addends_are_not_rounded_away():
    metric = BitsPerSymbol()
    metric.update(torch.tensor(-(2.0**26)), symbols=1)
    for _ in range(64):
        metric.update(torch.tensor(-0.5), symbols=1)
    assert float(metric.cost) * math.log(2) == pytest.approx(2.0**26 + 32, abs=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_equals_the_validation_figure():
    tunes = [
        read_abc(f"M:4/4\nL:1/4\nK:C\n{'CDEF|' * (2 + index % 5)}{note}4|\n")
        for index, note in enumerate("CDEFGABcdefgabcdefg")
    ]
    torch.manual_seed(0)
    module = BarStreamModule(
        patch_layers=1, char_layers=1, hidden=32, patch_length=64, heads=2, dropout=0.0
    )
    data = ScoreDataModule(
        tunes, module.representation, batch_size=3, val_fraction=0.4, progress=False
    )
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    (logged,) = lightning.Trainer(accelerator="cpu", **quiet).validate(module, data, verbose=False)
    metric = BitsPerSymbol("target")
    with torch.inference_mode():
        for batch in data.val_dataloader():
            metric.update(module.log_probs(batch))
    assert float(metric.compute()) == pytest.approx(logged["val/bits_per_character"], rel=1e-6)
