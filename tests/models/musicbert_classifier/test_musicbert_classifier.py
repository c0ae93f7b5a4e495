"""Labels of pieces by MusicBERT: the head of fairseq, its losses, and a fine-tuning as users write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch.nn import functional as F

import musiczoo
from musiczoo.datamodules.labelled import LabelledMidiDataModule
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.adapters import is_adapter
from musiczoo.models.base import Classifies
from musiczoo.models.base.freezing import choose_trainable
from musiczoo.models.musicbert import MusicBertModule
from musiczoo.models.musicbert_classifier import LabelLoss, MusicBertClassifier
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from tests.small_runs import QUIET, differing

pytestmark = pytest.mark.filterwarnings("ignore")
SIZES = {"layers": 1, "hidden": 32, "heads": 2, "positions": 66, "dropout": 0.0}
LOW, HIGH = read_abc("L:1/4\nM:3/4\nK:C\nC,D,E,|G,3|"), read_abc("L:1/4\nM:3/4\nK:C\nc'd'e'|")


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=3e-3)


def model(**settings: Any) -> MusicBertClassifier:
    torch.manual_seed(0)
    return MusicBertClassifier(**{"labels": ("a", "b", "c"), **SIZES, **settings}).eval()


def folder_of_folders(folder: Path) -> Path:
    for label, octave in (("low", ",,"), ("high", "'")):
        (folder / label).mkdir(parents=True)
        for number in range(8):
            notes = "".join("CDEFGAB"[(number * k + k) % 7].lower() + octave for k in range(4))
            text = f"X:1\nM:4/4\nL:1/4\nK:C\n{notes}|{notes}|\n"
            (folder / label / f"{number}.abc").write_text(text)
    return folder


def test_the_head_reads_the_first_upsampled_vector_of_the_begin() -> None:
    module = model()
    encode = module.representation
    batch = encode.collate([encode.encode(LOW), encode.encode(HIGH)])
    found = module.net(batch["ids"], batch["lengths"])
    net = module.net
    for row, piece in enumerate((LOW, HIGH)):
        ids = encode.encode(piece)
        states = net.encoder.rows(ids[None], torch.tensor([len(ids)]))
        vector = net.encoder.upsampling(states[0]).view(8, -1)[0]
        expected = net.head.out_proj(torch.tanh(net.head.dense(vector)))
        torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-6)


def test_losses_beside_torch() -> None:
    module = model()
    encode = module.representation
    batch = encode.collate([encode.encode(LOW), encode.encode(HIGH)])
    logits = module.net(batch["ids"], batch["lengths"])
    one = LabelLoss()(module, batch | {"labels": torch.tensor([2, -100])})
    assert int(one.count) == 1
    torch.testing.assert_close(one.total, F.cross_entropy(logits[:1], torch.tensor([2])))
    module = model(several=True)
    target = torch.tensor([[1.0, 0.0, 1.0], [-100.0] * 3])
    several = LabelLoss()(module, batch | {"labels": target})
    assert int(several.count) == 1
    expected = F.binary_cross_entropy_with_logits(logits[0], target[0], reduction="sum")
    torch.testing.assert_close(several.total, expected)


def test_probabilities() -> None:
    module = model()
    assert isinstance(module, Classifies)
    found = module.classify([LOW, HIGH])
    torch.testing.assert_close(found.sum(1), torch.ones(2))
    torch.testing.assert_close(found[1:], module.classify([HIGH]), rtol=1e-5, atol=1e-6)
    both = model(several=True).classify([LOW])
    assert not torch.allclose(both.sum(), torch.ones(()))
    with pytest.raises(MusicZooError, match="no labels yet"):
        MusicBertClassifier(**SIZES).classify([LOW])


def test_a_fine_tuning_as_users_write_it(tmp_path: Path) -> None:
    save_checkpoint(MusicBertModule(**SIZES).eval(), tmp_path / "base")
    data = LabelledMidiDataModule(
        folder_of_folders(tmp_path / "music"), batch_size=4, val_fraction=0.2, progress=False
    )
    module = MusicBertClassifier(pretrained=f"local-dir:{tmp_path}/base", optimizer=adamw)
    trainer = lightning.Trainer(**QUIET, max_epochs=15)
    trainer.fit(module, data)
    assert module.labels == ("high", "low")
    assert "val/loss" in trainer.callback_metrics
    module.eval()
    found = module.classify([LOW, HIGH]).argmax(1).tolist()
    assert [module.labels[place] for place in found] == ["low", "high"]
    assert module.record()["provenance"]["base"]["name"] == "local-dir:base"
    save_checkpoint(module, tmp_path / "saved")
    again: Any = musiczoo.load(f"local-dir:{tmp_path}/saved")
    assert again.labels == module.labels
    assert not differing(again.net, module.net)
    torch.testing.assert_close(again.classify([LOW]), module.classify([LOW]))
    # It continues from its own checkpoint, head and all.
    more = MusicBertClassifier(pretrained=f"local-dir:{tmp_path}/saved")
    assert not differing(more.net, module.net)
    with pytest.raises(MusicZooError, match="other labels"):
        more.set_labels(["x", "y"], several=False)


def low_and_high(**settings: Any) -> LabelledMidiDataModule:
    pairs = [(LOW, "low"), (HIGH, "high")] * 6
    return LabelledMidiDataModule(pairs, batch_size=4, val_fraction=0.0, progress=False, **settings)


@pytest.mark.parametrize("labels", [(), ("high", "low")], ids=["of the data", "given"])
def test_an_adapter_keeps_its_labels(labels: tuple[str, ...], tmp_path: Path) -> None:
    save_checkpoint(MusicBertModule(**SIZES).eval(), tmp_path / "base")
    file = tmp_path / "last.ckpt"

    def fresh() -> MusicBertClassifier:
        base = f"local-dir:{tmp_path}/base"
        lora = {"rank": 4, "dropout": 0.0}
        return MusicBertClassifier(pretrained=base, labels=labels, lora=lora, optimizer=adamw)

    module = fresh()
    trainer = lightning.Trainer(**QUIET, max_epochs=30)
    trainer.fit(module, low_and_high())
    trained = [name for name, value in module.net.named_parameters() if value.requires_grad]
    assert all(map(is_adapter, trained))
    assert any(name.startswith("head.dense") for name in trained)
    trainer.save_checkpoint(file)
    found = module.eval().classify([LOW, HIGH])
    assert found.argmax(1).tolist() == [1, 0]
    # What is resumed at its end is what it was, and so is what is opened without its base's name.
    resumed = fresh()
    lightning.Trainer(**QUIET, max_epochs=30).fit(resumed, low_and_high(), ckpt_path=str(file))
    torch.testing.assert_close(resumed.eval().classify([LOW, HIGH]), found)
    opened = MusicBertClassifier.load_from_checkpoint(file).eval()
    torch.testing.assert_close(opened.classify([LOW, HIGH]), found)
    # Its base has a head of no name, so it is published merged.
    with pytest.raises(MusicZooError, match="must name its base"):
        save_checkpoint(module, tmp_path / "adapter")
    save_checkpoint(module.merge_adapter(), tmp_path / "merged")
    merged: Any = musiczoo.load(f"local-dir:{tmp_path}/merged")
    torch.testing.assert_close(merged.classify([LOW, HIGH]), found, rtol=1e-4, atol=1e-5)


def test_an_adapter_of_a_saved_classifier(tmp_path: Path) -> None:
    save_checkpoint(model(labels=("high", "low")), tmp_path / "base")
    base = f"local-dir:{tmp_path}/base"
    module = MusicBertClassifier(pretrained=base, lora={"rank": 4}, optimizer=adamw)
    lightning.Trainer(**QUIET, max_epochs=2).fit(module, low_and_high())
    save_checkpoint(module.eval(), tmp_path / "adapter")
    again: Any = musiczoo.load(f"local-dir:{tmp_path}/adapter")
    torch.testing.assert_close(again.classify([LOW, HIGH]), module.classify([LOW, HIGH]))


def test_the_head_alone_is_trained(tmp_path: Path) -> None:
    save_checkpoint(MusicBertModule(**SIZES).eval(), tmp_path / "base")
    module = MusicBertClassifier(pretrained=f"local-dir:{tmp_path}/base", optimizer=adamw)
    choose_trainable(module, ["head.*"])
    module.set_labels(["high", "low"], several=False)
    before = {name: value.clone() for name, value in module.net.state_dict().items()}
    lightning.Trainer(**QUIET, max_epochs=2).fit(module, low_and_high())
    after = module.net.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {name for name in before if name.startswith("head.")}
    # A head that is frozen stays so when the data states its labels.
    module = MusicBertClassifier(**SIZES)
    choose_trainable(module, ["encoder.*"])
    module.set_labels(["a", "b"], several=False)
    assert not any(value.requires_grad for value in module.net.head.parameters())


def test_several_labels_are_learnt(tmp_path: Path) -> None:
    pairs = [(LOW, ["low", "music"]), (HIGH, ["high", "music"])] * 6
    data = LabelledMidiDataModule(pairs, batch_size=4, val_fraction=0.0, progress=False)
    module = MusicBertClassifier(**SIZES, optimizer=adamw)
    lightning.Trainer(**QUIET, max_epochs=50).fit(module, data)
    assert module.config.several
    assert module.labels == ("high", "low", "music")
    assert (module.eval().classify([LOW, HIGH]) > 0.5).tolist() == [
        [False, True, True],
        [True, False, True],
    ]


def test_fairseqs_heads_are_read(tmp_path: Path) -> None:
    module = model()
    tensors = {
        f"encoder.sentence_encoder.{name}": value
        for name, value in MusicBertModule(**SIZES).net.state_dict().items()
        if not name.startswith("lm_head")
    }
    tensors |= {
        f"encoder.{name}": value
        for name, value in MusicBertModule(**SIZES).net.state_dict().items()
        if name.startswith("lm_head")
    }
    for head in ("next_head", "acc_head"):
        for name, value in module.net.head.state_dict().items():
            tensors[f"classification_heads.{head}.{name}"] = value + (head == "acc_head")
    file = tmp_path / "tuned.pt"
    torch.save({"model": tensors, "args": None}, file)
    found: Any = musiczoo.load("musicbert-finetuned", weights=file, head="next_head")
    assert found.labels == ("0", "1", "2")
    assert not differing(found.net.head, module.net.head)
    with pytest.raises(MusicZooError, match="acc_head, next_head"):
        musiczoo.load("musicbert-finetuned", weights=file)
    # The encoder alone starts a new classifier.
    fresh = MusicBertClassifier(pretrained=str(file), labels=("x", "y"))
    assert fresh.config.hidden == 32


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_bfloat16(precision: str, tmp_path: Path) -> None:
    pairs = [(LOW, "low"), (HIGH, "high")] * 3
    data = LabelledMidiDataModule(pairs, batch_size=2, val_fraction=0.0, progress=False)
    module = MusicBertClassifier(**SIZES, optimizer=adamw)
    trainer = lightning.Trainer(**QUIET, max_epochs=1, precision=precision)
    trainer.fit(module, data)
    assert torch.isfinite(trainer.callback_metrics["train/loss"])
