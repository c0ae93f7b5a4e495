"""The module under Trainer.fit: the loss falls, the layout of batches does not matter, checkpoints hold nothing but tensors and numbers."""

import math

import lightning
import pytest
import torch

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.music.errors import MusicZooError

LINES = [
    f"[V:1]{''.join('CDEFGAB'[(i * k) % 7] for i in range(1, 5))}|[V:2]{'C2' * (k % 3 + 1)}|\n"
    for k in range(1, 30)
]


def tiny(**settings):
    torch.manual_seed(0)
    return BarStreamModule(
        **{
            "patch_layers": 1,
            "char_layers": 1,
            "hidden": 32,
            "heads": 2,
            "patch_length": 64,
            "dropout": 0.0,
            **settings,
        }
    )


def items(module, count):
    texts = ["K:C\nV:1\nV:2\n" + "".join(LINES[i : i + 1 + i % 4]) for i in range(count)]
    return [module.representation.encode_text(text) for text in texts]


def batches(module, count, size):
    encoded = items(module, count)
    return loader(
        [module.representation.collate(encoded[i : i + size]) for i in range(0, count, size)]
    )


def loader(ready):
    return torch.utils.data.DataLoader(ready, batch_size=None)


def fit(module, data, **settings):
    settings = {"max_epochs": 1, **settings}
    trainer = lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    trainer.fit(module, data)
    return trainer


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.5)


def test_one_batch_of_eight_equals_eight_accumulated():
    together, apart = tiny(optimizer=sgd), tiny(optimizer=sgd)
    fit(together, batches(together, 8, 8))
    fit(apart, batches(apart, 8, 1), accumulate_grad_batches=8)
    for (name, a), b in zip(together.named_parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_the_last_incomplete_accumulation_is_a_mean_too():
    together, apart = tiny(optimizer=sgd), tiny(optimizer=sgd)
    encoded = items(together, 5)
    collate = together.representation.collate
    fit(together, loader([collate(encoded[:3]), collate(encoded[3:])]))
    fit(apart, loader([collate([item]) for item in encoded]), accumulate_grad_batches=3)
    for (name, a), b in zip(together.named_parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_update_is_that_of_the_mean_loss():
    module, by_hand = tiny(optimizer=sgd), tiny()
    [batch] = batches(module, 4, 4)
    fit(module, loader([batch]))
    result = by_hand.objective(by_hand, batch)
    (result.total / result.count).backward()
    with torch.no_grad():
        for p in by_hand.parameters():
            if p.grad is not None:
                p -= 0.5 * p.grad
    for (name, a), b in zip(module.named_parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_gradient_clipping_sees_the_mean_gradient():
    norms = []

    class Watch(lightning.Callback):
        def on_before_zero_grad(self, trainer, module, optimizer):
            grads = [p.grad for p in module.parameters() if p.grad is not None]
            if grads:
                norms.append(torch.nn.utils.get_total_norm(grads).item())

    module = tiny(optimizer=sgd)
    fit(module, batches(module, 4, 4), gradient_clip_val=1e-3, callbacks=[Watch()], max_epochs=2)
    assert norms
    assert norms[0] == pytest.approx(1e-3, rel=1e-3)


def test_overfits_one_batch():
    module = tiny(optimizer=lambda p: torch.optim.AdamW(p, lr=1e-2))
    [batch] = batches(module, 4, 4)
    before = module.objective(module, batch)
    fit(module, loader([batch]), max_epochs=60)
    after = module.objective(module, batch)
    assert after.total < 0.35 * before.total


def test_validation_logs_the_mean_over_all_targets():
    module = tiny()
    data = batches(module, 5, 2)
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    [logged] = trainer.validate(module, data, verbose=False)
    total = count = 0.0
    with torch.no_grad():
        for item in items(module, 5):
            result = module.objective(module, module.representation.collate([item]))
            total, count = total + result.total.item(), count + result.count.item()
    assert logged["val/loss"] == pytest.approx(total / count, rel=1e-5)
    assert logged["val/bits_per_character"] == pytest.approx(total / count / math.log(2), rel=1e-5)


def test_dropout_is_a_function_of_the_place_in_the_run():
    def losses(seed):
        module = tiny(dropout=0.5, seed=seed)
        seen = []

        class Watch(lightning.Callback):
            def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
                seen.append(outputs["loss"].item())

        torch.manual_seed((seen and 1) or 99)
        fit(module, batches(module, 4, 1), callbacks=[Watch()])
        return seen

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)
    first, second = losses(1)[:2]
    assert first != second


class Rates(lightning.Callback):
    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_warm_up_rises_to_a_constant():
    module = tiny(warmup_steps=4, optimizer=sgd)
    watch = Rates()
    fit(module, batches(module, 7, 1), callbacks=[watch])
    assert watch.rates == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5])


def test_cool_down_ends_at_zero_and_leaves_the_level_part_alone():
    rates = {}
    for cooldown in (0, 4):
        module = tiny(warmup_steps=2, cooldown_steps=cooldown, optimizer=sgd)
        watch = Rates()
        fit(module, batches(module, 10, 1), max_steps=10, callbacks=[watch])
        rates[cooldown] = watch.rates
    assert rates[0] == pytest.approx([0.25] + [0.5] * 9)
    assert rates[4] == pytest.approx([0.25] + [0.5] * 6 + [0.375, 0.25, 0.125])


def test_a_resumed_run_aims_at_its_own_last_step(tmp_path):
    def run(steps, watch, checkpoint=None, **settings):
        module = tiny(cooldown_steps=4, optimizer=sgd)
        save = lightning.pytorch.callbacks.ModelCheckpoint(
            tmp_path, every_n_train_steps=4, save_top_k=0, save_last=True
        )
        trainer = lightning.Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            max_steps=steps,
            callbacks=[watch, save],
            **settings,
        )
        trainer.fit(module, batches(module, 10, 1), ckpt_path=checkpoint, weights_only=True)

    run(100, Rates(), max_epochs=1, limit_train_batches=4)
    watch = Rates()
    run(10, watch, tmp_path / "last.ckpt")
    assert watch.rates == pytest.approx([0.5, 0.5, 0.5, 0.375, 0.25, 0.125])


def test_a_cool_down_needs_an_end():
    module = tiny(cooldown_steps=4)
    with pytest.raises(MusicZooError, match="last step"):
        fit(module, batches(module, 2, 1))


def test_checkpoint_opens_without_executing_anything(tmp_path):
    module = tiny(seed=3)
    trainer = fit(module, batches(module, 2, 2))
    path = tmp_path / "a.ckpt"
    trainer.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["hidden"] == 32
    again = BarStreamModule.load_from_checkpoint(path, weights_only=True)
    assert again.seed == 3
    [batch] = batches(module, 2, 2)
    with torch.no_grad():
        assert torch.equal(
            again.eval().log_probs(batch).values, module.eval().log_probs(batch).values
        )


def test_fine_tuning_starts_from_an_own_checkpoint(tmp_path):
    module = tiny(heads=4)
    trainer = fit(module, batches(module, 2, 2))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = BarStreamModule(pretrained=str(tmp_path / "a.ckpt"), dropout=0.3)
    assert (again.net.config.head_count, again.net.config.dropout) == (4, 0.3)
    for (name, a), b in zip(module.net.named_parameters(), again.net.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_fine_tuning_trains_a_net_opened_in_eval_mode(tmp_path):
    from pathlib import Path

    weights = Path(__file__).parents[2] / "fixtures" / "bar_stream" / "notagen_tiny.pth"
    module = BarStreamModule.from_notagen(weights)
    modes = []

    class Watch(lightning.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            modes.append(module.net.training)

    fit(module, batches(module, 2, 2), callbacks=[Watch()])
    assert modes == [True]


def test_nothing_trainable_is_said():
    module = tiny()
    module.requires_grad_(False)
    module.trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    with pytest.raises(MusicZooError, match="No parameter is trainable"):
        module.configure_optimizers()


def test_unknown_size():
    with pytest.raises(MusicZooError, match="small, medium, large"):
        BarStreamModule(size="tiny")
