"""The module: checkpoint folders, and features whatever the batch."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from musiczoo.hub.checkpoint import open_checkpoint, save_checkpoint
from musiczoo.models.clamp2 import Clamp2Module
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import M3Patches

TINY = Path(__file__).parents[2] / "fixtures" / "clamp2" / "clamp2_tiny.pth"


def piece(rng: random.Random, bars: int) -> str:
    lines = ["%%score 1 2", "M:4/4", "K:C", "V:1", "V:2"]

    def notes():
        return "".join(
            rng.choice("abcdefg") + rng.choice(("", "2")) for _ in range(rng.randint(3, 30))
        )

    return "\n".join([*lines, *(f"[V:1]{notes()}|[V:2]{notes()}|" for _ in range(bars)), ""])


def test_features_do_not_depend_on_the_batch():
    torch.manual_seed(0)
    module = Clamp2Module(layers=2, hidden=32, patch_length=16, heads=2, dim=8).eval()
    rng = random.Random(0)
    texts = [piece(rng, rng.choice((1, 2, 3, 12, 30))) for _ in range(40)]
    one_by_one = torch.cat([module.features([text]) for text in texts])
    torch.testing.assert_close(module.features(texts), one_by_one, rtol=1e-5, atol=1e-6)
    order = rng.sample(range(40), 40)
    torch.testing.assert_close(
        module.features([texts[index] for index in order]), one_by_one[order], rtol=1e-5, atol=1e-6
    )


def test_long_pieces_are_segments_weighted_by_what_they_add():
    torch.manual_seed(0)
    module = Clamp2Module(layers=1, hidden=32, patch_length=16, heads=1, dim=8).eval()
    text = piece(random.Random(1), 13)
    patches = module.representation.encode_text(text)
    assert len(patches) == 33

    def alone(part: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return module.net(part[None], torch.tensor([len(part)]))[0]

    wanted = (16 * alone(patches[:16]) + 16 * alone(patches[16:32]) + 1 * alone(patches[-16:])) / 33
    torch.testing.assert_close(module.features([text])[0], wanted)


def test_a_checkpoint_folder_keeps_everything(tmp_path):
    module = Clamp2Module.from_clamp2(TINY)
    save_checkpoint(module, tmp_path / "folder")
    again = open_checkpoint(tmp_path / "folder")
    text = piece(random.Random(2), 5)
    assert module.features([text]).equal(again.features([text]))
    assert again.representation.to_config() == module.representation.to_config()
    assert not again.representation.strip_unit_length


def test_the_representation_must_fit():
    config = Clamp2Module(layers=1, hidden=32, heads=1, patch_length=8, dim=4).to_config()
    with pytest.raises(MusicZooError, match="does not fit"):
        Clamp2Module.from_config(config, M3Patches(patch_size=32))


def test_untrained_weights_do_not_touch_the_random_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    Clamp2Module.from_clamp2(TINY)
    assert torch.get_rng_state().equal(before)
