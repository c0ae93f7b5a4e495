"""The net's own order of computing against transformers' forward pass, whose mask is made as in the published code."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from transformers import WavLMModel

from musiczoo.models.audiobox.net import AXES, WINDOW, AudioboxConfig, AudioboxNet

SMALL = AudioboxConfig(
    layers=2, hidden=24, heads=2, feed_forward=40, channels=16, position_groups=4, depth=2
)


def random_net(config: AudioboxConfig = SMALL) -> AudioboxNet:
    """A net in which every parameter has a say."""
    torch.manual_seed(0)
    net = AudioboxNet(
        config, {axis: (5.0 + number, 1.0 + number / 4) for number, axis in enumerate(AXES)}
    ).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return net


@pytest.fixture(scope="module")
def net() -> AudioboxNet:
    return random_net()


@pytest.fixture
def published_mask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A frame counts when any of the samples of its hop does."""

    def mask(
        self: WavLMModel, frames: int, attention_mask: torch.Tensor, add_adapter: bool | None = None
    ) -> torch.Tensor:
        samples = attention_mask.cumsum(dim=-1)[:, -1:]
        return 320 * torch.arange(frames) < samples

    monkeypatch.setattr(WavLMModel, "_get_feature_vector_attention_mask", mask)
    return


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, samples, generator=torch.Generator().manual_seed(seed)) * 0.3


@pytest.mark.parametrize(
    "samples",
    [1, 5, 319, 320, 321, 400, 20_480, 20_481, 100_000, 159_680, 159_681, 159_760, 159_999, WINDOW],
)
def test_states_equal_those_of_transformers_on_the_padded_window(
    net: AudioboxNet, published_mask: None, samples: int
):
    clip = noise(samples)
    padded = torch.nn.functional.pad(clip, (0, WINDOW - samples))
    mask = (torch.arange(WINDOW) < samples).long()[None]
    with torch.no_grad():
        wanted = net.wavlm_model(
            padded, attention_mask=mask, output_hidden_states=True
        ).hidden_states
        states = net.states(clip)
    assert len(states) == len(wanted) == 3
    frames = min(-(-samples // 320), 499)
    for ours, theirs in zip(states, wanted, strict=True):
        assert ours.shape == (1, frames, 24)
        torch.testing.assert_close(ours, theirs[:, :frames], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "clip", [noise(WINDOW) * 0.01 + 1.0, noise(WINDOW) * 1e-4, torch.zeros(1, WINDOW)]
)
def test_no_less_exact_than_transformers(net: AudioboxNet, clip: torch.Tensor):
    exact = copy.deepcopy(net.wavlm_model).double()
    with torch.no_grad():
        wanted = exact(clip.double(), output_hidden_states=True).hidden_states
        theirs = net.wavlm_model(clip, output_hidden_states=True).hidden_states
        for truth, other, ours in zip(wanted, theirs, net.states(clip), strict=True):
            assert (ours - truth).abs().max() < 2 * (other - truth).abs().max() + 1e-5


def test_ratings_by_hand(net: AudioboxNet):
    clip = noise(40_000)
    with torch.no_grad():
        states = torch.stack(net.states(clip))
        for number, axis in enumerate(AXES):
            mixed = (net.layer_weights[axis].softmax(dim=0)[:, None, None, None] * states).sum(
                dim=0
            )
            vector = mixed.mean(dim=1)
            score = net.proj_layer[axis](vector / vector.norm(dim=1, keepdim=True))
            wanted = score[0, 0] * (1.0 + number / 4) + 5.0 + number
            torch.testing.assert_close(net(clip)[0, number], wanted, rtol=1e-5, atol=1e-5)


def test_a_batch_equals_its_windows_alone(net: AudioboxNet):
    clips = torch.cat([noise(50_000, seed) for seed in range(3)])
    with torch.no_grad():
        torch.testing.assert_close(
            net(clips), torch.cat([net(clip[None]) for clip in clips]), rtol=1e-5, atol=1e-5
        )


def test_other_weights_are_not_computed_with_the_old_ones():
    net, other = random_net(), random_net()
    clip = noise(30_000)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.9)
        before, wanted = net(clip), other(clip)
        assert (before - wanted).abs().max() > 1e-3
        net.load_state_dict(other.state_dict())
        torch.testing.assert_close(net(clip), wanted)
        torch.testing.assert_close(copy.deepcopy(net)(clip), wanted)
        torch.testing.assert_close(net.double().float()(clip), wanted)
