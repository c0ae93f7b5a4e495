"""Evaluation mode for a while: what it sets, and that everything comes back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from musiczoo.models.base.evaluation import evaluating


def net() -> nn.Module:
    made = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Sequential(nn.Linear(2, 2)))
    made.train()
    made[2].eval()
    return made


def test_each_part_gets_its_own_mode_back():
    module = net()
    modes = [part.training for part in module.modules()]
    assert len(set(modes)) == 2
    with evaluating(module):
        assert not any(part.training for part in module.modules())
        assert not module(torch.ones(1, 2)).requires_grad
    assert [part.training for part in module.modules()] == modes
    assert torch.is_grad_enabled()


def test_modes_come_back_after_an_error():
    module = net()
    modes = [part.training for part in module.modules()]
    with pytest.raises(ValueError, match="now"), evaluating(module):
        raise ValueError("now")
    assert [part.training for part in module.modules()] == modes
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("keep", [False, True])
def test_the_random_state_comes_back_where_it_is_asked_for(keep):
    module = net()
    before = torch.get_rng_state()
    with evaluating(module, keep_rng=keep):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before) == keep
