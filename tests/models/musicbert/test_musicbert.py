"""MusicBERT: published numbers, masking, training and features."""

from __future__ import annotations

import json
import pickle
import random
import sys
from pathlib import Path

import lightning
import pytest
import torch
from symusic import Note, Score, Track

import musiczoo
from musiczoo.datamodules import ScoreDataModule
from musiczoo.hub.foreign_objects import read_with_foreign_objects, setting_of
from musiczoo.hub.published import assemble
from musiczoo.models.base import Encodes
from musiczoo.models.musicbert import MaskedOctuples, MusicBertModule, MusicBertNet
from musiczoo.models.musicbert.published import read_published
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple import BEGIN, END, MASK, TOKENS, OctupleMidi
from tests.small_runs import QUIET, differing, two_voices

FILE = Path(__file__).parents[2] / "fixtures/musicbert/musicbert_tiny.pt"
KNOWN = json.loads(FILE.with_suffix(".json").read_text())


def tiny(**settings):
    torch.manual_seed(0)
    return MusicBertModule(**{"layers": 1, "hidden": 32, "heads": 2, "positions": 130, **settings})


@pytest.fixture(scope="module")
def published():
    return assemble(MusicBertNet, read_published(FILE), FILE)


@pytest.fixture(scope="module")
def inputs():
    return torch.tensor(KNOWN["input_ids"]).reshape(2, -1, 8), torch.tensor(KNOWN["mask"])


def close(found, name):
    wanted = torch.tensor(KNOWN[name])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_states_and_logits_are_the_published_ones(published, inputs):
    ids, mask = inputs
    lengths = mask.sum(dim=1)
    with torch.no_grad():
        states = published.encode(ids, mask)
        rows = published.rows(ids, lengths)
        logits = published.logits(rows, torch.ones(len(rows), 8, dtype=torch.bool))
    close(states[0, :3], "encoder_last_seq0_first3")
    close(states[1, int(lengths[1]) - 1], "encoder_last_seq1_lastvalid")
    assert not states[1, int(lengths[1]) :].any()
    close(logits[8, :64], "lm_logits_seq0_pos8_first64")
    close(logits[8 * int(lengths[0]) + 20, :64], "lm_logits_seq1_pos20_first64")


def test_a_sequence_does_not_depend_on_its_batch(published, inputs):
    ids, mask = inputs
    with torch.no_grad():
        together = published.encode(ids, mask)
        alone = published.encode(ids[1:, : int(mask[1].sum())], mask[1:, : int(mask[1].sum())])
    torch.testing.assert_close(together[1, : alone.shape[1]], alone[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name,
        lambda name: name.replace("encoder.", "decoder.", 1),
        lambda name: name.replace("emb_layer_norm", "layernorm_embedding"),
    ],
    ids=["fairseq", "old", "new"],
)
def test_three_styles_of_names_are_read(change, tmp_path):
    content = read_with_foreign_objects(FILE)
    table = {change(name): value.clone() for name, value in content["model"].items()}
    table["classification_heads.next_head.dense.weight"] = torch.zeros(2, 2)
    table = {name: value for name, value in table.items()}
    torch.save(
        {"model": table, "cfg": {"model": {"encoder_attention_heads": 2}}}, tmp_path / "x.pt"
    )
    found = read_published(tmp_path / "x.pt")
    assert found.config == read_published(FILE).config
    assert found.config.heads == 2
    again = musiczoo.load("musicbert", weights=tmp_path / "x.pt")
    assert not differing(again.net, assemble(MusicBertNet, read_published(FILE), FILE))


class Attack:
    def __reduce__(self):
        return (exec, ("import sys; sys.attacked = True",))


def test_a_file_can_execute_nothing(tmp_path):
    torch.save({"model": {"a": torch.ones(2)}, "cfg": Attack(), "heads": 3}, tmp_path / "x.pt")
    content = read_with_foreign_objects(tmp_path / "x.pt")
    assert not hasattr(sys, "attacked")
    assert torch.equal(content["model"]["a"], torch.ones(2))
    assert setting_of(content, "heads") == 3
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Attack()))
    for name in ("plain.pt", "missing.pt"):
        with pytest.raises(MusicZooError, match=r"no readable|no such"):
            read_with_foreign_objects(tmp_path / name)
    program = torch.jit.script(torch.nn.Linear(1, 1))
    torch.jit.save(program, tmp_path / "program.pt")
    with pytest.raises(MusicZooError, match="TorchScript"):
        read_with_foreign_objects(tmp_path / "program.pt")
    assert not hasattr(sys, "attacked")


def many_notes(seed, notes=3000, bars=60):
    rng = random.Random(seed)
    ids = torch.tensor(
        [
            [
                4 + rng.randrange(bars),
                260,
                388 + rng.randrange(4),
                517 + rng.randrange(128),
                773,
                901,
                942,
                1222,
            ]
            for _ in range(notes)
        ]
    )
    return torch.cat([torch.full((1, 8), BEGIN), ids, torch.full((1, 8), END)])


def unit_of(strategy, ids, row, field):
    return {
        "bar": (int(ids[row, 0]), int(ids[row, 2]), field),
        "compound": row,
        "element": (row, field),
    }[strategy]


@pytest.mark.parametrize("strategy", ["bar", "compound", "element"])
def test_units_are_decided_together_in_the_published_shares(strategy):
    # Nothing random, which could draw the mask itself.
    objective = MaskedOctuples([strategy], random=0.0)
    shares = [0, 0, 0]
    generator = torch.Generator().manual_seed(1)
    for seed in range({"bar": 60, "compound": 40, "element": 5}[strategy]):
        ids = many_notes(seed)
        batch = ids.unsqueeze(0)
        corrupted, selected = objective.corrupt(batch, torch.tensor([len(ids)]), generator)
        assert torch.equal(corrupted[~selected], batch[~selected])
        what = torch.where(selected, torch.where(corrupted == MASK, 2, 1), 0)[0].tolist()
        found: dict[object, set[int]] = {}
        for row in range(1, len(ids) - 1):
            for field in range(8):
                found.setdefault(unit_of(strategy, ids, row, field), set()).add(what[row][field])
        # Tokens of a unit are selected and masked together.
        assert all(len(kinds) == 1 for kinds in found.values())
        for [kind] in found.values():
            shares[kind] += 1
        for end in (0, -1):
            assert strategy == "element" or len(set(what[end])) == 1
    assert sum(shares) > 1e5
    assert sum(shares[1:]) / sum(shares) == pytest.approx(0.15, abs=0.01)
    assert shares[2] / sum(shares[1:]) == pytest.approx(0.8, abs=0.01)


def test_eighty_ten_ten():
    ids = torch.stack([many_notes(seed) for seed in range(20)])
    lengths = torch.full((20,), ids.shape[1])
    generator = torch.Generator().manual_seed(2)
    corrupted, selected = MaskedOctuples(["element"]).corrupt(ids, lengths, generator)
    assert int(selected.sum()) > 60_000
    share = {
        "masked": (corrupted == MASK)[selected].double().mean(),
        "kept": (corrupted == ids)[selected].double().mean(),
    }
    assert float(share["masked"]) == pytest.approx(0.8, abs=0.01)
    assert float(share["kept"]) == pytest.approx(0.1, abs=0.01)


def test_random_tokens_come_from_the_whole_vocabulary():
    objective = MaskedOctuples(["compound"], ratio=1.0, masked=0.0, random=1.0)
    ids = many_notes(0).unsqueeze(0)
    corrupted, selected = objective.corrupt(ids, torch.tensor([ids.shape[1]]))
    assert selected.all()
    counts = torch.bincount(corrupted.flatten(), minlength=len(TOKENS))
    assert int((counts > 0).sum()) == len(TOKENS)
    # Drawn for each token, and kept where nothing is drawn.
    kept, chosen = MaskedOctuples(["bar"], 1.0, 0.0, 0.0).corrupt(ids, torch.tensor([5]))
    assert torch.equal(kept, ids)
    assert int(chosen.sum()) == 5 * 8
    for wrong in ({"strategies": ["phrase"]}, {"strategies": []}, {"ratio": 0}, {"masked": 0.95}):
        with pytest.raises(MusicZooError):
            MaskedOctuples(**wrong)


def test_the_loss_is_the_mean_over_selected_tokens():
    module = tiny(dropout=0.0).eval()
    batch = module.reference_batch()
    result = module.objective(module, batch)
    generator = torch.Generator().manual_seed(0)
    corrupted, selected = module.objective.corrupt(batch["ids"], batch["lengths"], generator)
    states = module.net.encode(
        corrupted, torch.arange(batch["ids"].shape[1]) < batch["lengths"].unsqueeze(1)
    )
    vectors = module.net.upsampling(states).unflatten(-1, (8, -1))
    scores = module.net.lm_head(vectors).log_softmax(-1)
    exact = -scores.gather(-1, batch["ids"].unsqueeze(-1)).squeeze(-1)[selected].sum()
    torch.testing.assert_close(result.total, exact)
    assert int(result.count) == int(selected.sum()) > 0


@pytest.mark.filterwarnings("ignore")
def test_it_is_pre_trained_on_a_folder_of_midi(tmp_path):
    for seed in range(12):
        musiczoo.music.write(two_voices(seed), tmp_path / f"{seed}.mid")
    module = tiny(optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-2))
    data = ScoreDataModule(
        tmp_path,
        module.representation,
        batch_size=4,
        val_fraction=0.2,
        progress=False,
        cache=tmp_path / "cache",
    )
    trainer = lightning.Trainer(**QUIET, max_epochs=12)
    [before] = trainer.validate(module, data, verbose=False)
    trainer.fit(module, data)
    [after] = trainer.validate(module, data, verbose=False)
    assert after["val/loss"] < before["val/loss"] - 0.5


# Weights that are bfloat16 themselves lose small updates, so that they part from float32 sooner.
@pytest.mark.parametrize(("precision", "apart"), [("bf16-mixed", 0.02), ("bf16-true", 0.05)])
def test_bfloat16_is_near_float32(precision, apart):
    tunes = [two_voices(seed) for seed in range(8)]

    def losses(precision):
        module = tiny(
            dropout=0.0, optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=3e-3)
        )
        data = ScoreDataModule(
            tunes, module.representation, batch_size=4, val_fraction=0, progress=False
        )
        seen = []

        class Losses(lightning.Callback):
            def on_train_batch_end(self, trainer, *_):
                seen.append(float(trainer.callback_metrics["train/loss"]))

        trainer = lightning.Trainer(
            **QUIET, max_epochs=10, precision=precision, callbacks=[Losses()]
        )
        trainer.fit(module, data)
        return torch.tensor(seen)

    found, wanted = losses(precision), losses("32-true")
    assert len(found) == 20
    assert wanted[-4:].mean() < wanted[:4].mean() - 0.3
    torch.testing.assert_close(found[0], wanted[0], rtol=0.005, atol=0.0)  # the same weights yet
    torch.testing.assert_close(found, wanted, rtol=apart, atol=0.0)


def test_features_are_means_over_notes_of_all_windows():
    module = tiny().eval()
    assert isinstance(module, Encodes)
    score = Score(480)
    track = Track("", 0, False)
    track.notes.extend([Note(240 * k, 240, 40 + k % 40, 80) for k in range(300)])
    score.tracks.append(track)
    pieces = [two_voices(1), score, two_voices(2)]
    together = module.features(pieces)
    for piece, row in zip(pieces, together, strict=True):
        torch.testing.assert_close(module.features([piece])[0], row)
    notes = OctupleMidi(130)
    windows = list(notes.windows(score, 126, 126))
    assert [len(window) - 2 for window in windows] == [126, 126, 48]
    with torch.no_grad():
        states = [module.net.rows(w[None], torch.tensor([len(w)]))[1:-1] for w in windows]
    torch.testing.assert_close(module.features([score])[0], torch.cat(states).mean(dim=0))
    with pytest.raises(MusicZooError, match="no note"):
        module.features([Score(480)])


def test_sizes():
    assert (
        sum(p.numel() for p in MusicBertNet(musiczoo.models.musicbert.SIZES["small"]).parameters())
        == 22_536_405
    )
    with pytest.raises(MusicZooError, match="no size"):
        MusicBertModule(size="huge")
    with pytest.raises(MusicZooError, match="does not fit a context"):
        tiny().net.rows(torch.zeros(1, 200, 8, dtype=torch.long), torch.tensor([200]))
