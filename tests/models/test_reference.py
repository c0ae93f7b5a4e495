"""The reference policy: no part of the module, and the policy of before."""

from __future__ import annotations

import pytest
import torch

from musiczoo.models.adapters import LoRA, fingerprint
from musiczoo.models.reference import ReferencePolicy, evaluating, read_reference, write_reference
from musiczoo.music.errors import MusicZooError
from tests.models.generative import ARCHITECTURES, build, pieces

each_architecture = pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))


def shaken(module: torch.nn.Module, only: str = "") -> None:
    with torch.no_grad():
        kept = module.state_dict()
        for name, parameter in module.named_parameters():
            if only in name and name in kept:
                parameter.add_(0.1)


@each_architecture
def test_a_copy_says_what_the_policy_said_before(architecture):
    module = build(architecture, dropout=0.2).train()
    batch = module.representation.collate(pieces(module, range(4)))
    with evaluating(module):
        before = module.log_probs(batch).values
    reference = ReferencePolicy(module)
    names, net = set(module.state_dict()), module.net
    shaken(module)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    said = reference.log_probs(module, batch, 1.0).values
    assert torch.equal(said, before)
    assert not said.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert module.net is net
    assert all(part.training for part in module.modules())
    assert set(module.state_dict()) == names
    assert all(
        parameter.requires_grad == other.requires_grad
        for parameter, other in zip(
            module.parameters(), build(architecture).parameters(), strict=True
        )
    )
    with evaluating(module):
        assert not torch.allclose(module.log_probs(batch).values, before, atol=1e-3)
    assert torch.equal(reference.log_probs(module, batch, 2.0).values, _cool(architecture, batch))


def _cool(architecture: str, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    module = build(architecture).eval()
    with torch.no_grad():
        return module.log_probs(batch, 2.0).values


@each_architecture
def test_an_adapter_s_base_is_the_reference(architecture):
    module = build(architecture, dropout=0.2)
    if not module.lora_targets:
        pytest.skip("its own adapter is part of what it keeps")
    batch = module.representation.collate(pieces(module, range(3)))
    with evaluating(module):
        before = module.log_probs(batch).values
    module.add_lora(LoRA(rank=2))
    reference = ReferencePolicy(module)
    assert reference.net is None
    # As stages and recipes do: a part of the adapter stays as it is.
    for name, parameter in module.named_parameters():
        parameter.requires_grad_("lora_A" in name)
    shaken(module, "lora_")
    assert torch.equal(reference.log_probs(module, batch, 1.0).values, before)
    assert {name for name, parameter in module.named_parameters() if parameter.requires_grad} == {
        name for name, _ in module.named_parameters() if "lora_A" in name
    }
    with evaluating(module):
        assert not torch.allclose(module.log_probs(batch).values, before, atol=1e-3)


@each_architecture
def test_kept_and_read(architecture, tmp_path):
    module = build(architecture)
    digest = fingerprint(module.net.state_dict())
    write_reference(tmp_path / "reference.safetensors", module.net)
    batch = module.representation.collate(pieces(module, range(2)))
    with evaluating(module):
        before = module.log_probs(batch).values
    shaken(module)
    reference = ReferencePolicy(module, read_reference(tmp_path / "reference.safetensors", digest))
    assert torch.equal(reference.log_probs(module, batch, 1.0).values, before)
    with pytest.raises(MusicZooError, match="another policy"):
        read_reference(tmp_path / "reference.safetensors", "0" * 64)
    with pytest.raises(MusicZooError, match=r"is gone.*folder="):
        read_reference(tmp_path / "other.safetensors", digest)


def test_modes_come_back_after_an_error():
    module = build("phi3_remi")
    module.train()
    module.net.eval()
    modes = [part.training for part in module.modules()]

    def failing() -> None:
        with evaluating(module):
            assert not module.training
            assert not torch.is_grad_enabled()
            raise ValueError("now")

    with pytest.raises(ValueError, match="now"):
        failing()
    assert [part.training for part in module.modules()] == modes
    assert torch.is_grad_enabled()
