"""What is trained, by patterns; and what cannot be spread over devices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from musiczoo.models.adapters import LoRA
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.base.freezing import choose_trainable
from musiczoo.models.base.sharding import shard
from musiczoo.music.errors import MusicZooError


def model() -> BarStreamModule:
    return BarStreamModule(patch_layers=1, char_layers=1, hidden=32, patch_length=24, heads=2)


def trained(module: BarStreamModule) -> list[str]:
    return [name for name, parameter in module.net.named_parameters() if parameter.requires_grad]


def test_patterns_choose_what_is_trained() -> None:
    module = model()
    everything = trained(module)
    assert choose_trainable(module, ["*.ln_f.*", "char_level_decoder.*.wpe.*"]) == trained(module)
    assert {name.rsplit(".", 2)[1] for name in trained(module)} == {"ln_f", "wpe"}
    # Everything is what it was when the module was made: what nothing reads stays frozen.
    assert (
        choose_trainable(module, ["*"])
        == choose_trainable(module, None)
        == trained(module)
        == everything
    )
    assert "patch_level_decoder.base.wte.weight" not in everything


def test_patterns_that_name_nothing_are_refused() -> None:
    module = model()
    before = trained(module)
    with pytest.raises(
        MusicZooError,
        match=r"No parameter has a name like encoder\.\*.*char_level_decoder\.base\.\*",
    ):
        choose_trainable(module, ["char_level_decoder.*", "encoder.*"])
    with pytest.raises(MusicZooError, match="No parameter is trainable"):
        choose_trainable(module, [])
    assert trained(module) == before


def test_beside_an_adapter_the_weights_stay_frozen() -> None:
    module = model().add_lora(LoRA(rank=2))
    adapter = trained(module)
    with pytest.raises(MusicZooError, match="Beside an adapter"):
        choose_trainable(module, ["char_level_decoder.*"])
    assert choose_trainable(module, ["char_level_decoder.*lora_*"]) == [
        name for name in adapter if name.startswith("char")
    ]
    assert choose_trainable(module, None) == adapter


def test_what_cannot_be_sharded_is_refused() -> None:
    def mesh(tensor_parallel: int) -> Any:
        return {"tensor_parallel": SimpleNamespace(size=lambda: tensor_parallel)}

    shard(SimpleNamespace(device_mesh=None), [])
    with pytest.raises(MusicZooError, match="no tensor parallelism"):
        shard(SimpleNamespace(device_mesh=mesh(2), net=model().net, lora=None), [])
    with pytest.raises(MusicZooError, match="Adapters are not sharded"):
        shard(SimpleNamespace(device_mesh=mesh(1), net=model().net, lora=LoRA()), [])
