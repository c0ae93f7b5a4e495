"""Previews are written, show the training and nothing else, and leave it as it would be without them."""

import base64
import logging
import random

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from musiczoo.callbacks import Preview
from musiczoo.callbacks import preview as module_of_preview
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guards
from musiczoo.models.prompts import Prompt
from musiczoo.music import read, write
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HEADER = "L:1/8\nM:4/4\nK:C\nV:1 treble\nV:2 bass\n"
# An untrained net is held to one more bar.
OPENING = HEADER + "[r:0/1][V:1]C8|[V:2]C,8|\n"
GUARDED = {"guard": Guards([BarDurations(meter=True), Countdown()])}


def tiny():
    torch.manual_seed(0)
    return BarStreamModule(
        patch_layers=1, char_layers=1, hidden=32, heads=2, patch_length=64, dropout=0.3
    )


def batches(module):
    texts = [HEADER + f"[V:1]{'CDEFGAB'[i]}8|[V:2]G,8|\n" for i in range(4)]
    ready = [
        module.representation.collate([module.representation.encode_text(text)]) for text in texts
    ]
    return torch.utils.data.DataLoader(ready, batch_size=None)


def fit(folder, *callbacks, logger=None, epochs=2, checkpoint=None):
    module = tiny()
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=logger or False,
        default_root_dir=folder,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, batches(module), batches(module), ckpt_path=checkpoint)
    return module, trainer


@pytest.fixture
def _cheap_pictures(monkeypatch):
    """Engraving is tested elsewhere and takes long."""
    monkeypatch.setattr(
        module_of_preview, "piano_roll_picture", lambda piece, path: write_atomically(path, PNG)
    )
    monkeypatch.setattr(
        module_of_preview,
        "write",
        lambda piece, path: (
            write_atomically(path, PNG) if path.suffix == ".png" else write(piece, path)
        ),
    )


def test_previews_lie_in_the_loggers_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module_of_preview, "find_soundfont", lambda: None)
    fit(tmp_path, Preview([OPENING], options=GUARDED), logger=CSVLogger(tmp_path, name="run"))
    root = tmp_path / "run" / "version_0" / "previews"
    assert sorted(path.name for path in root.iterdir()) == ["step-000004", "step-000008"]
    assert sorted(path.name for path in (root / "step-000008").iterdir()) == [
        "1-roll.png",
        "1.abc",
        "1.mid",
        "1.png",
    ]
    piece = read(root / "step-000008" / "1.abc")
    assert [len(voice.bars) for voice in piece.voices] == [2, 2]
    for name in ("1.png", "1-roll.png"):
        assert (root / "step-000008" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("_cheap_pictures")
def test_every_other_validation(tmp_path):
    fit(tmp_path, Preview([OPENING], every_n_validations=2, options=GUARDED, audio=False), epochs=3)
    assert [path.name for path in (tmp_path / "previews").iterdir()] == ["step-000008"]


@pytest.mark.usefixtures("_cheap_pictures")
def test_training_is_bit_equal_with_and_without(tmp_path):
    class Draws(lightning.Callback):
        """Numbers that training would draw right after a preview, and the modes it would run in."""

        def __init__(self):
            self.seen = []

        def on_validation_end(self, trainer, pl_module):
            modes = [part.training for part in pl_module.modules()]
            self.seen.append((torch.rand(1).item(), np.random.rand(), random.random(), modes))

    runs = []
    for previews in ([], [Preview([OPENING, ""], max_length=12, audio=False, folder=tmp_path)]):
        lightning.seed_everything(3, verbose=False)
        draws = Draws()
        module, _ = fit(tmp_path, *previews, draws)
        runs.append((module.state_dict(), draws.seen))
    (without, draws_without), (with_previews, draws_with) = runs
    assert draws_without == draws_with
    for name, value in without.items():
        assert torch.equal(value, with_previews[name]), name
    assert list((tmp_path / "previews").iterdir())


@pytest.mark.usefixtures("_cheap_pictures")
def test_the_same_weights_give_the_same_preview(tmp_path):
    texts = []
    for name in ("a", "b"):
        fit(tmp_path / name, Preview([OPENING], options=GUARDED, audio=False))
        texts.append((tmp_path / name / "previews/step-000008/1.abc").read_text())
    assert texts[0] == texts[1]


def test_what_goes_wrong_is_told_and_ends_nothing(tmp_path, monkeypatch, caplog):
    def broken(piece, path):
        raise RuntimeError("the engraver crashed")

    monkeypatch.setattr(module_of_preview, "write", broken)
    with caplog.at_level(logging.WARNING):
        _, trainer = fit(
            tmp_path,
            Preview([OPENING], options=GUARDED, audio=False),
            Preview([""], max_length=8, audio=False, seed=1),
        )
    assert trainer.global_step == 8
    assert "1.png failed" in caplog.text
    assert "is no readable piece" in caplog.text
    assert (tmp_path / "previews/step-000008/1-roll.png").is_file()
    assert (tmp_path / "previews/step-000008/1.txt").is_file()


def test_a_bad_prompt_or_folder_ends_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    bad = [
        Preview(["no header\n"], audio=False),
        Preview([OPENING], folder=tmp_path / "file", audio=False),
    ]
    with caplog.at_level(logging.WARNING):
        _, trainer = fit(tmp_path, *bad)
    assert trainer.global_step == 8
    assert "neither a header line" in caplog.text
    assert str(tmp_path / "file") in caplog.text


@pytest.mark.usefixtures("_cheap_pictures")
def test_pictures_go_to_loggers_that_take_them(tmp_path):
    class TensorBoard(CSVLogger):
        @property
        def experiment(self):
            return self

        def add_image(self, tag, image, step, dataformats):
            shown.append((tag, image.dtype, image.ndim, step, dataformats))

        def log_hyperparams(self, params):
            pass

        def log_metrics(self, metrics, step=None):
            pass

        def save(self):
            pass

    class Biases(TensorBoard):
        def log_image(self, key, images, step):
            shown.append((key, len(images), step))

    shown = []
    fit(
        tmp_path,
        Preview([OPENING], options=GUARDED, audio=False),
        logger=TensorBoard(tmp_path),
        epochs=1,
    )
    assert shown == [(f"preview/1/{name}", np.uint8, 3, 4, "HWC") for name in ("score", "roll")]
    shown.clear()
    fit(
        tmp_path,
        Preview([OPENING], options=GUARDED, audio=False),
        logger=Biases(tmp_path),
        epochs=1,
    )
    assert shown == [("preview/1/score", 1, 4), ("preview/1/roll", 1, 4)]


def test_the_most_frequent_labels_are_the_default():
    module = tiny()
    module.prompts = (
        Prompt("Baroque", "Rare, R", "Keyboard", 1),
        Prompt("Baroque", "Bach, Johann Sebastian", "Choral", 300),
    )
    [result] = Preview(max_length=20, audio=False)._generate(module)
    assert result.text.startswith("%Baroque\n%Bach, Johann Sebastian\n%Choral\n")


def test_the_rhythm_survives_a_checkpoint():
    one, other = (
        Preview(every_n_validations=3, audio=False),
        Preview(every_n_validations=3, audio=False),
    )
    one._validations = 2
    other.load_state_dict(one.state_dict())
    assert other._validations == 2
    assert one.state_key == other.state_key != Preview(seed=1, audio=False).state_key
    with pytest.raises(MusicZooError, match="at least 1"):
        Preview(count=0)
