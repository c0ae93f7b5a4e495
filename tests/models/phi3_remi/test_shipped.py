"""The shipped decoder: it says REMI, and ten lines of Trainer.fit on a folder of MIDI files lower the held-out loss."""

from __future__ import annotations

import random
from pathlib import Path

import lightning
import pytest
import torch
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

import musiczoo
from musiczoo.commands.generate import run
from musiczoo.datamodules import MidiDataModule
from musiczoo.models.phi3_remi import Phi3RemiModule


def waltz(seed: int) -> ScoreTick:
    """Left hand: bass and two chords; right hand: notes at random. No fiddle tune sounds so."""
    rng = random.Random(seed)
    piece = ScoreTick(480)
    piece.time_signatures.append(TimeSignatureTick(0, 3, 4))
    piece.tempos.append(TempoTick(0, rng.choice([140.0, 150.0, 160.0])))
    track = TrackTick("Piano", 0, False)
    for bar in range(16):
        root = rng.choice([48, 50, 53, 55]) + seed % 3
        start = bar * 3 * 480
        track.notes.append(NoteTick(start, 480, root - 12, 80))
        for beat in (1, 2):
            for step in (0, 4, 7):
                track.notes.append(NoteTick(start + beat * 480, 480, root + step, 80))
        for place in range(6):
            track.notes.append(
                NoteTick(start + place * 240, 240, root + 24 + rng.choice([0, 2, 4, 7, 9, 12]), 80)
            )
    piece.tracks.append(track)
    return piece


@pytest.mark.slow
def test_a_folder_of_midi_files_lowers_the_held_out_loss(tmp_path: Path) -> None:
    folder = tmp_path / "my_midi"
    folder.mkdir()
    for seed in range(24):
        waltz(seed).dump_midi(folder / f"{seed}.mid")
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }

    model = musiczoo.load(
        "phi3-remi", optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=5e-4)
    )
    data = MidiDataModule(
        str(folder),
        model.representation,
        batch_size=4,
        max_length=256,
        val_fraction=0.3,
        cache=tmp_path,
        progress=False,
    )
    trainer = lightning.Trainer(max_epochs=4, gradient_clip_val=1.0, **quiet)
    [before] = trainer.validate(model, data, verbose=False)
    trainer.fit(model, data)
    [after] = trainer.validate(model, data, verbose=False)
    assert after["val/bits_per_token"] < 0.7 * before["val/bits_per_token"]
    assert model.stage == "finetune"
    assert model.provenance["base"]["name"] == "phi3-remi"


def test_it_writes_music() -> None:
    model = musiczoo.load("phi3-remi")
    assert isinstance(model, Phi3RemiModule)
    results = model.generate(
        [""] * 8, max_new_tokens=96, generator=torch.Generator().manual_seed(0)
    )
    assert all(result.piece is not None and result.piece.note_num() > 12 for result in results)


def test_the_command_writes_midi(tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Bar_None TimeSig_3/4 Position_0 Tempo_120.0")
    written = run(
        [
            "phi3-remi",
            "--count",
            "2",
            "--max-length",
            "80",
            "--output",
            str(tmp_path / "out"),
            "--prompt",
            str(prompt),
            "--quiet",
        ]
    )
    assert [path.suffix for path in written] == [".mid", ".mid"]
    for path in written:
        piece = musiczoo.music.read(path)
        assert isinstance(piece, ScoreTick)
        assert piece.note_num() > 5
        assert (piece.time_signatures[0].numerator, piece.time_signatures[0].denominator) == (3, 4)
