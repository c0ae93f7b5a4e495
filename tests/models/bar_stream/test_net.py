"""The ragged net against transformers' own GPT-2 on one-hot, padded input: the plain way."""

import pytest
import torch
from torch.nn import functional as F

from musiczoo.models.bar_stream import SIZES, BarStreamConfig, BarStreamNet
from musiczoo.music.errors import MusicZooError

CONFIG = BarStreamConfig(
    patch_layers=2, char_layers=2, hidden=64, patch_length=32, dropout=0.0, heads=4
)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return BarStreamNet(CONFIG).eval()


def ragged_batch(*lengths):
    generator = torch.Generator().manual_seed(1)
    patches = torch.zeros(len(lengths), max(lengths), 16, dtype=torch.uint8)
    for row, length in enumerate(lengths):
        for place in range(length):
            chars = int(torch.randint(1, 17, (1,), generator=generator))
            patches[row, place, :chars] = torch.randint(
                3, 128, (chars,), generator=generator, dtype=torch.uint8
            )
    return patches, torch.tensor(lengths)


def plain_log_probs(net, patches, lengths):
    """One-hot patches, padded positions and attention masks, the forward pass of transformers."""
    one_hot = F.one_hot(patches.long(), 128).flatten(2).float()
    mask = torch.arange(patches.shape[1]) < lengths.unsqueeze(1)
    embedded = net.patch_level_decoder.patch_embedding(one_hot)
    hidden = net.patch_level_decoder.base(
        inputs_embeds=embedded, attention_mask=mask.long()
    ).last_hidden_state
    conditions, targets = hidden[:, :-1][mask[:, 1:]], patches[:, 1:][mask[:, 1:]].long()
    gpt = net.char_level_decoder.transformer
    inputs = torch.cat([conditions.unsqueeze(1), gpt.wte(targets)], dim=1)
    seen = torch.cat([torch.ones(len(targets), 1), (targets != 0).float()], dim=1)
    out = gpt(inputs_embeds=inputs, attention_mask=seen).last_hidden_state
    scores = (
        torch.log_softmax(out @ gpt.wte.weight.t(), dim=-1)[:, :-1]
        .gather(2, targets.unsqueeze(2))
        .squeeze(2)
    )
    values = torch.zeros(patches[:, 1:].shape)
    values[mask[:, 1:]] = scores * (targets != 0)
    return values.flatten(1)


def test_equals_the_plain_way_with_gradients(net):
    patches, lengths = ragged_batch(7, 12, 3, 12)
    values, mask = net(patches, lengths)
    wanted = plain_log_probs(net, patches, lengths)
    torch.testing.assert_close(values, wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(
        mask,
        (
            (patches[:, 1:] != 0) & (torch.arange(11) < (lengths - 1).unsqueeze(1)).unsqueeze(2)
        ).flatten(1),
    )
    ours = torch.autograd.grad(values.sum(), [p for p in net.parameters() if p.requires_grad])
    theirs = torch.autograd.grad(wanted.sum(), [p for p in net.parameters() if p.requires_grad])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_a_sequence_does_not_depend_on_its_neighbours(net):
    patches, lengths = ragged_batch(7, 12, 3)
    together, _ = net(patches, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, _ = net(patches[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row, : alone.shape[1]], alone[0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_temperature_divides_the_logits(net):
    patches, lengths = ragged_batch(5)
    hidden = net.patch_hidden(patches, lengths)
    logits, where = net.char_level_decoder(hidden[:-1], patches[0, 1:])
    wanted = (
        torch.log_softmax(logits / 2.5, -1)
        .gather(1, patches[0, 1:].flatten().long()[where].unsqueeze(1))
        .squeeze(1)
    )
    torch.testing.assert_close(net(patches, lengths, temperature=2.5)[0][0, where], wanted)


def test_published_parameter_counts():
    # Counts of users' logs and of the published tensors, with the tied output layer once.
    with torch.device("meta"):
        counts = {
            name: sum(p.numel() for p in BarStreamNet(config).parameters())
            for name, config in SIZES.items()
        }
    assert counts == {"small": 109_579_776, "medium": 243_677_184, "large": 515_738_880}


def test_too_long_a_sequence_is_refused(net):
    with pytest.raises(MusicZooError, match="33 patches does not fit a context of 32"):
        net(*ragged_batch(33))


def test_width_that_heads_do_not_divide():
    with pytest.raises(MusicZooError, match="multiple"):
        BarStreamConfig(hidden=100, heads=3)
