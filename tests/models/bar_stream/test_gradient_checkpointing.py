"""Gradient checkpointing: the same gradients, dropout included, with less kept for the backward pass."""

import pytest
import torch

from musiczoo.models.adapters import LoRA
from musiczoo.models.bar_stream import BarStreamModule


def module(checkpointing, lora):
    torch.manual_seed(0)
    return BarStreamModule(
        patch_layers=4,
        char_layers=3,
        hidden=32,
        heads=2,
        patch_length=64,
        dropout=0.3,
        lora=LoRA(rank=4, dropout=0.2) if lora else None,
        gradient_checkpointing=checkpointing,
    ).train()


def gradients(checkpointing, lora):
    """Gradients of a batch of pieces of different length, and the bytes that autograd kept for them."""
    model = module(checkpointing, lora)
    texts = ["K:C\nV:1\nV:2\n" + "[V:1]CDEF GABc|[V:2]C,8|\n" * bars for bars in (1, 3, 6)]
    batch = model.representation.collate([model.representation.encode_text(text) for text in texts])
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(7)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.objective(model, batch).total
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return loss.detach(), found, sum(size for place, size in kept.items() if place not in own)


@pytest.mark.parametrize("lora", [False, True])
def test_same_gradients_from_less_memory(lora):
    loss, plain, memory = gradients(False, lora)
    again, checkpointed, less = gradients(True, lora)
    assert torch.equal(loss, again)
    assert plain.keys() == checkpointed.keys()
    assert any(bool(gradient.any()) for gradient in plain.values())
    for name, gradient in plain.items():
        torch.testing.assert_close(
            checkpointed[name],
            gradient,
            rtol=1e-6,
            atol=1e-6 * float(gradient.abs().max()),
            msg=name,
        )
    assert less < 0.35 * memory


def test_dropout_matters_here():
    """The comparison above would hold without dropout too; it must be on for the comparison to show anything of it."""
    first, second = module(True, True), module(True, True)
    batch = first.representation.collate(
        [first.representation.encode_text("K:C\nV:1\n[V:1]CDEF|\n")]
    )
    torch.manual_seed(1)
    one = first.log_probs(batch).values
    torch.manual_seed(2)
    assert not torch.equal(one, second.log_probs(batch).values)
