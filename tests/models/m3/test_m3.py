"""M3: what is masked, what the loss is, that it falls and that a fit resumes, and features whatever the batch and the length."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch.nn import functional as F

from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.hub.checkpoint import open_checkpoint, save_checkpoint
from musiczoo.models.m3 import M3Module, MaskedPatches
from musiczoo.models.m3.features import pooled_features, segments
from musiczoo.models.m3.masking import corrupt, select, shuffled
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import BOS, EOS, MASK, PAD, VOCABULARY, M3Patches
from tests.callbacks.tiny_rounds import tune
from tests.small_runs import QUIET

pytestmark = pytest.mark.filterwarnings("ignore")


def tiny(**settings: Any) -> M3Module:
    torch.manual_seed(0)
    return M3Module(
        **(
            {
                "layers": 2,
                "decoder_layers": 1,
                "hidden": 32,
                "heads": 2,
                "patch_length": 24,
                "optimizer": adamw,
            }
            | settings
        )
    )


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=3e-3)


def text(bars: int, seed: int = 1) -> str:
    body = "".join(
        f"[V:1]{''.join('CDEFGAB'[(seed * i * k) % 7] for i in range(1, 5))}|[V:2]C{1 + k % 3}|\n"
        for k in range(1, bars + 1)
    )
    return f"M:4/4\nK:G\nV:1\nV:2\n{body}"


def batch(module: M3Module, bars: tuple[int, ...] = (1, 4, 8)) -> dict[str, torch.Tensor]:
    return module.representation.collate(
        [module.representation.encode_text(text(count)) for count in bars]
    )


def test_part_of_the_patches_is_selected_rounded_up():
    lengths = torch.arange(1, 65)
    chosen = select(lengths, 64, 0.45)
    assert chosen.sum(dim=1).tolist() == [-(-45 * length // 100) for length in range(1, 65)]
    assert not (chosen & (torch.arange(64) >= lengths.unsqueeze(1))).any()
    # Every patch of a piece is as likely as the others.
    counts = (
        torch.stack([select(torch.tensor([10, 20]), 20, 0.45)[0, :10] for _ in range(2000)])
        .double()
        .mean(dim=0)
    )
    torch.testing.assert_close(
        counts, torch.full((10,), 0.5, dtype=torch.float64), atol=0.05, rtol=0
    )
    assert select(torch.tensor([5]), 5, 1.0).all()


def test_way_is_drawn_once_a_piece():
    patches = torch.randint(4, 100, (3, 6, 8), dtype=torch.uint8)
    patches[..., 0] = BOS
    chosen = torch.tensor([[True, False, True, False, True, True]] * 3)
    ways = iter(["mask", "shuffle", "keep"])
    found = corrupt(patches, chosen, lambda: next(ways))
    assert (found[0, chosen[0]] == MASK).all()
    assert torch.equal(found[0, ~chosen[0]], patches[0, ~chosen[0]])
    assert not torch.equal(found[1], patches[1])
    assert torch.equal(found[1].sort(dim=1).values, patches[1].sort(dim=1).values)
    assert torch.equal(found[1, ~chosen[1]], patches[1, ~chosen[1]])
    assert torch.equal(found[2], patches[2])

    torch.manual_seed(0)
    objective = MaskedPatches()
    drawn = Counter(objective._way() for _ in range(5000))
    assert {way: round(count / 500) / 10 for way, count in drawn.items()} == {
        "mask": 0.8,
        "shuffle": 0.1,
        "keep": 0.1,
    }


def test_shuffling_keeps_begin_mark_end_mark_and_padding():
    patches = torch.zeros(200, 12, dtype=torch.uint8)
    for row in range(200):
        length = row % 11
        patches[row, : length + 2] = torch.tensor([BOS, *range(50, 50 + length), EOS])
    found = shuffled(patches)
    assert (found[:, 0] == BOS).all()
    for mark in (PAD, EOS):
        assert torch.equal(found == mark, patches == mark)
    assert torch.equal(found.sort(dim=1).values, patches.sort(dim=1).values)
    assert int((found != patches).any(dim=1).sum()) > 130
    # Special patches have nothing to shuffle but like characters.
    special = torch.tensor([[BOS] * 12, [BOS] + [EOS] * 11], dtype=torch.uint8)
    assert torch.equal(shuffled(special), special)


@pytest.mark.parametrize(
    "settings", [{"ratio": 0.0}, {"ratio": 1.1}, {"masked": 0.9, "shuffled": 0.2}, {"masked": -0.1}]
)
def test_masking_without_meaning_is_refused(settings):
    with pytest.raises(MusicZooError, match="has no meaning"):
        MaskedPatches(**settings)


def oracle(module: M3Module, patches: torch.Tensor, corrupted: torch.Tensor, row: int) -> float:
    """Log-probability of one patch's characters: one-hot patches, one piece and one patch at a time, as the paper has it."""
    one_hot = F.one_hot(corrupted.long(), VOCABULARY).float().flatten(1)
    embedded = module.net.encoder.patch_embedding(one_hot).unsqueeze(0)
    feature = module.net.encoder.base(inputs_embeds=embedded).last_hidden_state[0, row]
    characters = patches[row][patches[row] != PAD].long()
    decoder = module.net.decoder.transformer
    inputs = torch.cat([feature.unsqueeze(0), decoder.wte(characters[1:-1])])
    hidden = decoder(inputs_embeds=inputs.unsqueeze(0)).last_hidden_state[0]
    scores = torch.log_softmax(hidden @ decoder.wte.weight.T, dim=-1)
    return float(scores[torch.arange(len(characters) - 1), characters[1:]].sum())


def test_log_probabilities_are_those_of_the_plain_way():
    module = tiny().eval()
    made = batch(module)
    patches, lengths = made["patches"], made["lengths"]
    chosen = select(lengths, patches.shape[1], 0.45)
    corrupted = corrupt(patches, chosen, lambda: "mask")
    with torch.no_grad():
        values, mask = module.net(patches, lengths, corrupted, chosen)
        values, mask = (part.unflatten(1, (patches.shape[1], -1)) for part in (values, mask))
        for piece in range(len(patches)):
            whole = slice(int(lengths[piece]))
            for row in range(patches.shape[1]):
                if not chosen[piece, row]:
                    assert not mask[piece, row].any()
                    continue
                assert int(mask[piece, row].sum()) == int((patches[piece, row] != PAD).sum()) - 1
                wanted = oracle(module, patches[piece, whole], corrupted[piece, whole], row)
                assert float(values[piece, row].sum()) == pytest.approx(wanted, rel=1e-4)


def test_loss_is_per_character_and_validation_selects_the_same_each_time():
    module = tiny(dropout=0.0)
    made = batch(module)
    objective = module.objective
    one, other = objective(module.eval(), made), objective(module, made)
    assert torch.equal(one.total, other.total)
    assert float(one.total / one.count) == pytest.approx(math.log(VOCABULARY), rel=0.1)
    module.train()
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(float(objective(module, made).total))
    assert results[0] == results[1] != results[2]


def data(**settings: Any) -> ScoreDataModule:
    tunes = [tune(seed) for seed in range(10)]
    return ScoreDataModule(
        tunes, batch_size=4, keys="original", progress=False, **({"val_fraction": 0.2} | settings)
    )


class Save(lightning.Callback):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}-{batch_idx}.ckpt")

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}-end.ckpt")


def fit(module: M3Module, checkpoint: Path | None = None, **settings: Any) -> lightning.Trainer:
    trainer = lightning.Trainer(**(QUIET | {"num_sanity_val_steps": 0} | settings))
    trainer.fit(module, data(), ckpt_path=checkpoint, weights_only=True)
    return trainer


def test_loss_falls_and_a_resumed_fit_equals_the_undisturbed(tmp_path):
    whole = tiny()
    before = fit(tiny(), max_epochs=1).callback_metrics["val/loss"]
    after = fit(whole, max_epochs=6, callbacks=[Save(tmp_path)]).callback_metrics
    assert float(after["val/loss"]) < float(before) - 0.5
    assert float(after["val/bits_per_character"]) == pytest.approx(
        float(after["val/loss"]) / math.log(2), rel=1e-5
    )
    # In the middle of an epoch, and at the last batch of one.
    for name in ("4-0", "4-1"):
        again = tiny()
        fit(again, tmp_path / f"{name}.ckpt", max_epochs=6)
        assert all(
            torch.equal(value, again.state_dict()[key]) for key, value in whole.state_dict().items()
        )


def test_a_fit_resumed_twice_equals_the_undisturbed(tmp_path):
    # Lightning does not count the epoch after a checkpoint of an epoch's last batch, and would
    # begin it again when resumed in it.
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole, second, third = tiny(), tiny(), tiny()
    steps = fit(whole, max_epochs=3, callbacks=[Save(tmp_path / "one")]).global_step
    fit(second, tmp_path / "one/0-1.ckpt", max_epochs=3, callbacks=[Save(tmp_path / "two")])
    assert fit(third, tmp_path / "two/1-0.ckpt", max_epochs=3).global_step == steps
    assert all(
        torch.equal(value, third.state_dict()[key]) for key, value in whole.state_dict().items()
    )


def test_a_fit_of_so_many_steps_resumed_at_the_end_of_an_epoch(tmp_path):
    # Under max_steps Lightning would count the old epoch twice, and train on the batches of a later
    # one.
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole, second, third = tiny(), tiny(), tiny()
    epochs = fit(whole, max_steps=5, callbacks=[Save(tmp_path / "one")]).current_epoch
    again = fit(
        second, tmp_path / "one/0-end.ckpt", max_steps=5, callbacks=[Save(tmp_path / "two")]
    )
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        "1-0.ckpt",
        "1-1.ckpt",
        "1-end.ckpt",
        "2-0.ckpt",
        "2-end.ckpt",
    }
    assert (again.global_step, again.current_epoch) == (5, epochs)
    fit(third, tmp_path / "two/1-end.ckpt", max_steps=5)
    for module in (second, third):
        assert all(
            torch.equal(value, module.state_dict()[key])
            for key, value in whole.state_dict().items()
        )


def test_features_do_not_depend_on_the_batch():
    module = tiny(dropout=0.5)
    texts = [text(bars, seed) for bars, seed in ((1, 1), (30, 2), (7, 3), (8, 1), (40, 4))]
    module.train()
    together = module.features(texts)
    assert module.net.training
    assert (together.shape, together.dtype, together.requires_grad) == (
        (5, 32),
        torch.float32,
        False,
    )
    alone = torch.cat([module.features([one]) for one in texts])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module.features(texts[::-1]).flip(0), together, rtol=1e-4, atol=1e-5)
    assert module.features([]).shape == (0, 32)


def test_long_pieces_are_pooled_over_their_segments():
    module = tiny().eval()
    patches = module.representation.encode_text(text(30))
    context, count = module.net.config.patch_length, len(patches)
    assert count > 2 * context
    starts = [*range(0, count - context, context), count - context]
    weights = [context] * (len(starts) - 1) + [count % context or context]
    with torch.no_grad():
        hidden = [
            module.net.encoder(patches[None, s : s + context], torch.tensor([context])).mean(dim=0)
            for s in starts
        ]
    wanted = sum(weight * row for weight, row in zip(weights, hidden, strict=True)) / count
    torch.testing.assert_close(module.features([text(30)])[0], wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(MusicZooError, match="does not fit a context of 24"):
        module.net.encoder(patches[None], torch.tensor([count]))


@pytest.mark.parametrize(
    ("count", "weights"), [(3, [3]), (4, [4]), (5, [4, 1]), (8, [4, 4]), (10, [4, 4, 2])]
)
def test_segments(count, weights):
    patches = torch.arange(count).unsqueeze(1)
    found = segments(patches, 4)
    assert [weight for _, weight in found] == weights
    assert {int(row) for part, _ in found for row in part} == set(range(count))
    assert all(len(part) == min(4, count) for part, _ in found)


def test_pooling_many_pieces_goes_in_batches_of_limited_size():
    shapes: list[tuple[int, int]] = []

    def encode(patches: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        shapes.append((patches.shape[0], patches.shape[1]))
        return torch.cat(
            [rows[:length].float() for rows, length in zip(patches, lengths.tolist(), strict=True)]
        )

    pieces = [torch.full((1 + (7 * index) % 300, 2), index) for index in range(120)]
    found = pooled_features(encode, pieces, 256, 2)
    torch.testing.assert_close(found, torch.arange(120.0).unsqueeze(1).expand(120, 2))
    assert max(rows * longest for rows, longest in shapes) <= 4096
    assert len(shapes) < 12


def test_checkpoint_folder_round_trip(tmp_path):
    module = tiny()
    fit(module, max_epochs=1)
    save_checkpoint(module, tmp_path / "m3")
    again = open_checkpoint(tmp_path / "m3")
    assert isinstance(again, M3Module)
    assert again.to_config() == module.to_config()
    assert again.representation.to_config() == module.representation.to_config()
    texts = [text(5), text(40)]
    torch.testing.assert_close(again.features(texts), module.features(texts))
    with pytest.raises(MusicZooError, match="does not fit the net"):
        M3Module.from_config(module.to_config(), M3Patches(patch_size=32))
    with pytest.raises(MusicZooError, match="not a multiple of"):
        tiny(hidden=30, heads=4)
