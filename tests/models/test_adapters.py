"""LoRA: the base stays what it was, checkpoints hold the adapter alone and resume bit for bit, generation sees both."""

import random

import lightning
import pytest
import torch
from torch import nn

from musiczoo.datamodules import ScoreDataModule
from musiczoo.models import adapters
from musiczoo.models.adapters import LoRA
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.layers.packed_linear import effective_weight, packed_linear
from musiczoo.models.sampling import GREEDY
from musiczoo.music.errors import MusicZooError

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}
HEADER = "L:1/8\nM:4/4\nK:C\nV:1\nV:2\n"
LORA = LoRA(rank=4, alpha=16, dropout=0.3)


def tiny(**settings):
    torch.manual_seed(0)
    sizes = {
        "patch_layers": 2,
        "char_layers": 1,
        "hidden": 32,
        "heads": 2,
        "patch_length": 64,
        "dropout": 0.0,
    }
    return BarStreamModule(**{**sizes, **settings})


def adapted(seed=1, **settings):
    """A module whose adapter does something."""
    module = tiny(lora=LORA, **settings).eval()
    with torch.no_grad():
        random_state = torch.Generator().manual_seed(seed)
        for tensor in adapters.adapter_state_dict(module.net).values():
            tensor.copy_(0.2 * torch.randn(tensor.shape, generator=random_state))
    return module


def batches(module, count=6):
    texts = [
        HEADER + "".join(f"[V:1]{'CDEFGAB'[(i + k) % 7]}8|[V:2]G,8|\n" for k in range(3 + i % 2))
        for i in range(count)
    ]
    encoded = [
        module.representation.collate([module.representation.encode_text(text)]) for text in texts
    ]
    return torch.utils.data.DataLoader(encoded, batch_size=None)


def fit(module, ckpt_path=None, **settings):
    trainer = lightning.Trainer(
        **QUIET, **{"max_epochs": 2, "enable_checkpointing": False, **settings}
    )
    trainer.fit(module, batches(module), ckpt_path=ckpt_path)
    return trainer


def base_of(module):
    return {name: value.clone() for name, value in adapters.base_state_dict(module.net).items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_a_new_adapter_changes_nothing_and_a_fit_changes_it_alone():
    plain, module = (
        tiny(),
        tiny(lora=LORA, optimizer=lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.5)),
    )
    before = base_of(module)
    assert_same(before, dict(plain.net.state_dict()))
    batch = next(iter(batches(plain)))
    assert torch.equal(module.eval().log_probs(batch).values, plain.eval().log_probs(batch).values)
    trained_before = {
        name: value.clone() for name, value in adapters.adapter_state_dict(module.net).items()
    }
    trainer = fit(module)
    assert_same(base_of(module), before)
    after = adapters.adapter_state_dict(module.net)
    assert all(not torch.equal(after[name], trained_before[name]) for name in after)
    in_optimizer = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert in_optimizer == {id(p) for name, p in module.named_parameters() if "lora_" in name}
    assert not torch.allclose(
        module.eval().log_probs(batch).values, plain.log_probs(batch).values, atol=1e-3
    )


def test_the_start_depends_on_the_seed_alone():
    tiny()
    without = torch.get_rng_state()
    one = tiny(lora=LORA, seed=5)
    assert torch.equal(torch.get_rng_state(), without)
    other = tiny()
    torch.manual_seed(99)
    other.add_lora(LORA, seed=5)
    assert_same(adapters.adapter_state_dict(one.net), adapters.adapter_state_dict(other.net))
    different = adapters.adapter_state_dict(tiny(lora=LORA, seed=6).net)
    assert any(
        not torch.equal(value, different[name])
        for name, value in adapters.adapter_state_dict(one.net).items()
    )


def test_checkpoints_hold_the_adapter_alone_and_resume_bit_for_bit(tmp_path):
    base = tmp_path / "base.ckpt"
    fit(tiny()).save_checkpoint(base)
    whole = BarStreamModule(pretrained=str(base), lora=LORA, dropout=0.0)
    fit(whole)
    half = BarStreamModule(pretrained=str(base), lora=LORA, dropout=0.0)
    fit(half, max_epochs=1).save_checkpoint(tmp_path / "half.ckpt")
    content = torch.load(tmp_path / "half.ckpt", weights_only=True)
    assert content["state_dict"].keys() == {
        f"net.{name}" for name in adapters.adapter_state_dict(half.net)
    }
    assert (tmp_path / "half.ckpt").stat().st_size < base.stat().st_size
    resumed = BarStreamModule(pretrained=str(base), lora=LORA, dropout=0.0)
    fit(resumed, ckpt_path=tmp_path / "half.ckpt")
    assert_same(dict(whole.net.state_dict()), dict(resumed.net.state_dict()))


def test_a_checkpoint_finds_its_base_again_and_no_other(tmp_path):
    fit(tiny()).save_checkpoint(tmp_path / "base.ckpt")
    module = BarStreamModule(pretrained=str(tmp_path / "base.ckpt"), lora=LORA)
    fit(module).save_checkpoint(tmp_path / "adapter.ckpt")
    again = BarStreamModule.load_from_checkpoint(tmp_path / "adapter.ckpt", weights_only=True)
    assert again.lora == LORA
    assert_same(dict(again.net.state_dict()), dict(module.net.state_dict()))
    fit(tiny(), max_epochs=1).save_checkpoint(tmp_path / "other.ckpt")
    with pytest.raises(MusicZooError, match=r"another base.*pretrained="):
        BarStreamModule.load_from_checkpoint(
            tmp_path / "adapter.ckpt", pretrained=str(tmp_path / "other.ckpt"), weights_only=True
        )
    with pytest.raises(MusicZooError, match="an adapter alone"):
        fit(tiny(), ckpt_path=tmp_path / "adapter.ckpt")
    with pytest.raises(MusicZooError, match="a whole model"):
        fit(tiny(lora=LORA), ckpt_path=tmp_path / "base.ckpt")
    with pytest.raises(MusicZooError, match=r"adapter alone.*load_from_checkpoint"):
        BarStreamModule(pretrained=str(tmp_path / "adapter.ckpt"))
    (tmp_path / "base.ckpt").unlink()
    with pytest.raises(MusicZooError, match=r"base\.ckpt"):
        BarStreamModule.load_from_checkpoint(tmp_path / "adapter.ckpt", weights_only=True)


@pytest.mark.parametrize("rows", [1, 8])
def test_packed_layers_are_base_and_adapter(rows):
    module = adapted()
    before = base_of(module)
    layer = module.net.char_level_decoder.transformer.h[0].mlp.c_fc
    x = torch.randn(rows, 32, generator=torch.Generator().manual_seed(2))
    expected = layer(x)
    assert not torch.allclose(expected, layer.base_layer(x), atol=0.1)
    weight, bias = effective_weight(layer).t(), layer.bias.detach()
    torch.testing.assert_close(
        packed_linear(weight, bias, kernel="mkl", rows=(8,))(x), expected, rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        packed_linear(weight, bias, kernel="float16")(x), expected, rtol=0, atol=2e-2
    )
    assert_same(base_of(module), before)


def test_generation_speaks_with_base_and_adapter():
    module, plain = adapted(), tiny().eval()
    before = {name: value.clone() for name, value in module.net.state_dict().items()}
    [result] = module.generate([HEADER], GREEDY, 24)
    batch = module.representation.collate([result.tokens])
    with torch.inference_mode():
        scored = module.log_probs(batch).values.reshape(-1, 16)[result.scored[1:]]
        unadapted = plain.log_probs(batch).values.reshape(-1, 16)[result.scored[1:]]
    own = result.log_probs[result.scored]
    kept = own != 0
    torch.testing.assert_close(own[kept], scored[kept], rtol=0, atol=1e-4)
    assert not torch.allclose(own[kept], unadapted[kept], atol=0.1)
    for options in ({"draft": 0}, {"draft": 5}):
        [other] = module.generate([HEADER], GREEDY, 24, **options)
        assert torch.equal(other.tokens, result.tokens)
    module.generate([HEADER], GREEDY, 12, half_weights=True)
    assert_same(dict(module.net.state_dict()), before)
    [merged] = module.merge_adapter().generate([HEADER], GREEDY, 24)
    assert torch.equal(merged.tokens, result.tokens)


def test_merging_leaves_a_plain_model(tmp_path):
    module = adapted()
    batch = next(iter(batches(module)))
    with torch.no_grad():
        expected = module.log_probs(batch).values
        assert module.merge_adapter() is module
        torch.testing.assert_close(module.log_probs(batch).values, expected, rtol=0, atol=1e-5)
    plain = tiny()
    assert {n: p.requires_grad for n, p in module.named_parameters()} == {
        n: p.requires_grad for n, p in plain.named_parameters()
    }
    fit(module).save_checkpoint(tmp_path / "merged.ckpt")
    again = BarStreamModule.load_from_checkpoint(tmp_path / "merged.ckpt", weights_only=True)
    assert again.lora is None
    assert_same(dict(again.net.state_dict()), dict(module.net.state_dict()))
    with pytest.raises(MusicZooError, match="no adapter to merge"):
        module.merge_adapter()


def test_a_diverged_adapter_is_not_merged():
    module = adapted()
    before = base_of(module)
    module.net.char_level_decoder.transformer.h[0].mlp.c_fc.lora_A["default"].weight.data[0, 0] = (
        torch.nan
    )
    with pytest.raises(MusicZooError, match="not finite"):
        module.merge_adapter()
    assert_same(base_of(module), before)


def test_targets_can_be_chosen():
    module = tiny(lora=LoRA(rank=2, targets=("attn.c_attn",)))
    assert {
        name.split(".lora_")[0].rsplit(".", 2)[1]
        for name in adapters.adapter_state_dict(module.net)
    } == {"attn"}
    assert len(adapters.adapter_state_dict(module.net)) == 2 * 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LoRA(rank=0), "rank=0"),
        (lambda: LoRA(dropout=1.0), "dropout"),
        (lambda: LoRA.from_dict({"r": 4}), "no setting r.*rank"),
        (lambda: tiny(lora=LoRA(targets=("wte",))), "no layer wte.*attn.c_attn"),
        (lambda: tiny(lora=LORA).add_lora(LORA), "adapter already"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(MusicZooError, match=message):
        make()


def test_adapters_of_any_net_travel_as_tensors():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.second(self.first(x))

    torch.manual_seed(0)
    net, other = Net(), Net()
    other.load_state_dict(net.state_dict())
    for one in (net, other):
        adapters.add_adapter(one, LoRA(rank=2), ("first",))
    with torch.no_grad():
        net.first.lora_B["default"].weight.fill_(0.5)
    x = torch.randn(3, 4)
    assert not torch.allclose(net(x), other(x))
    adapters.load_adapter(other.eval(), adapters.adapter_state_dict(net.eval()))
    assert torch.equal(net(x), other(x))
    assert adapters.fingerprint(adapters.base_state_dict(net)) == adapters.fingerprint(
        adapters.base_state_dict(other)
    )
    expected = net(x)
    adapters.merge(net)
    torch.testing.assert_close(net(x), expected)
    with pytest.raises(MusicZooError, match=r"missing.*LoRA settings"):
        adapters.load_adapter(other, {})


def folder_of_scores(folder, count=20):
    """Small two-voice pieces of one style, each another tune."""
    folder.mkdir()
    rng = random.Random(3)
    for number in range(count):
        tunes = ["".join(f"{rng.choice('CEG')}2 " for _ in range(4)).strip() for _ in range(16)]
        upper = "|".join(tunes[:8])
        lower = "|".join(tune.replace("2", ",2") for tune in tunes[8:])
        (folder / f"{number}.abc").write_text(
            f"X:1\nT:No. {number}\nL:1/8\nM:4/4\nK:C\nV:1\nV:2\nV:1\n{upper}|]\nV:2\n{lower}|]\n"
        )
    return folder


@pytest.mark.parametrize("lora", [None, LoRA(rank=8)])
def test_ten_lines_of_fine_tuning_on_twenty_files_lower_the_held_out_loss(tmp_path, lora):
    folder_of_scores(tmp_path / "scores")
    fit(tiny(patch_length=256), max_epochs=1).save_checkpoint(tmp_path / "base.ckpt")

    def adam(parameters):
        return torch.optim.AdamW(parameters, lr=1e-2)

    model = BarStreamModule(
        pretrained=str(tmp_path / "base.ckpt"), lora=lora, dropout=0.0, optimizer=adam
    )
    before = base_of(model)
    data = ScoreDataModule(
        tmp_path / "scores", representation=model.representation, batch_size=4, val_fraction=0.2
    )
    trainer = lightning.Trainer(max_epochs=4, **QUIET, enable_checkpointing=False)
    [start] = trainer.validate(model, data, verbose=False)
    trainer.fit(model, data)
    [end] = trainer.validate(model, data, verbose=False)
    assert end["val/loss"] < 0.95 * start["val/loss"]
    same = all(torch.equal(value, before[name]) for name, value in base_of(model).items())
    assert same == (lora is not None)
