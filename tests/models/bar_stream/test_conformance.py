"""The net against the numbers that NotaGen's published code gives for the same random weights."""

import json
from pathlib import Path

import pytest
import torch

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.decoding import CachedCharDecoder, CachedPatchDecoder
from musiczoo.models.bar_stream.generation import BarStreamGenerator
from musiczoo.models.sampling import GREEDY

FIXTURES = Path(__file__).parents[2] / "fixtures" / "bar_stream"


@pytest.fixture(scope="module")
def published():
    return json.loads((FIXTURES / "notagen_tiny.json").read_text())


@pytest.fixture(scope="module")
def module():
    return BarStreamModule.from_notagen(FIXTURES / "notagen_tiny.pth")


@pytest.fixture(scope="module")
def batch(published):
    patches = torch.tensor(published["patches"], dtype=torch.uint8)
    return {"patches": patches[None], "lengths": torch.tensor([len(patches)])}


def test_sizes_are_read_from_the_tensors(module, published):
    assert {key: getattr(module.net.config, key) for key in published["config"]} == published[
        "config"
    ]


def test_patches_of_the_piece(module, published):
    text = (FIXTURES / published["piece"]).read_text()
    assert module.representation.encode_text(text).tolist() == published["patches"]


@torch.no_grad()
def test_log_probs_and_loss(module, batch, published):
    scored = module.log_probs(batch)
    assert int(scored.mask.sum()) == published["scored_chars"]
    assert scored.sums().item() == pytest.approx(published["log_prob_sum"], rel=1e-5)
    result = module.objective(module, batch)
    assert (result.total / result.count).item() == pytest.approx(published["loss"], rel=1e-5)


@torch.no_grad()
def test_hidden_and_logits(module, batch, published):
    hidden = module.net.patch_hidden(batch["patches"], batch["lengths"])
    torch.testing.assert_close(
        hidden[-1], torch.tensor(published["patch_hidden_last"]), rtol=1e-4, atol=1e-5
    )
    logits, where = module.net.char_level_decoder(hidden[:-1], batch["patches"][0, 1:])
    first = logits[(where == 0).nonzero().item()]
    torch.testing.assert_close(
        first, torch.tensor(published["logits_target0_pos0"]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("draft", [0, 3, None])
def test_greedy_continuation_cached(module, batch, published, draft):
    start, wanted = published["greedy_prompt_patches"], published["greedy_patches"]
    loop = BarStreamGenerator(
        module.net, GREEDY, max_length=start + len(wanted), slots=1, draft=draft
    )
    for running in loop.run([batch["patches"][0, :start]], [""], [0]):
        stream = running[0]
    assert [patch + [0] * (16 - len(patch)) for patch in stream.patches[start:]] == wanted


@torch.no_grad()
def test_greedy_continuation_uncached(module, batch, published):
    patches = batch["patches"][0, : published["greedy_prompt_patches"]]
    for wanted in published["greedy_patches"]:
        condition = module.net.patch_hidden(patches[None], torch.tensor([len(patches)]))[-1:]
        chars: list[int] = []
        while len(chars) < 16 and 2 not in chars:
            # A placeholder in the next place makes the decoder score it; what it says does not
            # matter.
            probe = torch.tensor([chars + [99] + [0] * (15 - len(chars))])
            logits, where = module.net.char_level_decoder(condition, probe)
            chars.append(int(logits[where == len(chars)].argmax()))
        assert chars + [0] * (16 - len(chars)) == wanted
        patches = torch.cat([patches, torch.tensor([wanted], dtype=torch.uint8)])


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_passes_at_a_hundredth(batch, published, dtype):
    module = BarStreamModule.from_notagen(FIXTURES / "notagen_tiny.pth").to(dtype)
    assert module.log_probs(batch).sums().item() == pytest.approx(
        published["log_prob_sum"], rel=1e-2
    )


def test_float16_weights_pass_at_a_hundredth(module, batch, published):
    """The kernels that generation may use on a CPU: hidden state and logits of the cached decoders."""
    patches = batch["patches"][0].long()
    patch_decoder = CachedPatchDecoder(module.net, 1, half=True)
    char_decoder = CachedCharDecoder(module.net, 1, 8, half=True)
    with torch.inference_mode():
        patch_decoder.fill(0, patches[:1])
        first = char_decoder.run(
            module.net.patch_hidden(patches[None, :1], torch.tensor([1])),
            *torch.zeros(3, 1, dtype=torch.int64),
        )
        for patch in patches[1:]:
            hidden = patch_decoder.step(patch[None])
    for got, wanted in (
        (hidden[0], published["patch_hidden_last"]),
        (first[0], published["logits_target0_pos0"]),
    ):
        wanted = torch.tensor(wanted)
        assert float((got - wanted).norm() / wanted.norm()) < 1e-2
        assert float((got - wanted).abs().max() / wanted.abs().max()) < 1e-2


@pytest.mark.parametrize("rows", [1, 8])
def test_cached_decoders_conform_in_float32(module, batch, published, rows):
    patches = batch["patches"][0].long()
    decoder = CachedPatchDecoder(module.net, rows)
    with torch.inference_mode():
        for slot in range(rows):
            decoder.fill(slot, patches[:60])
        for patch in patches[60:]:
            hidden = decoder.step(patch.expand(rows, -1))
    for row in hidden:
        torch.testing.assert_close(
            row, torch.tensor(published["patch_hidden_last"]), rtol=1e-4, atol=1e-5
        )
