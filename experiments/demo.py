"""The demo: trains a small bar-stream model on Bach's chorales, samples a new four-part piece and writes it in every form.

Everything is the library's own: corpus, datamodule, Trainer.fit, generate and musiczoo.music.write. It takes two cores less than six
minutes. What is written is opened again and checked.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
import warnings
import wave
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from musiczoo.datamodules import ScoreDataModule
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guards
from musiczoo.models.base import Generated
from musiczoo.models.sampling import Sampling
from musiczoo.music import MusicZooError, Tune, piano_roll_picture, read, write
from musiczoo.music.abc import Field
from musiczoo.music.corpora import load_corpus
from musiczoo.representations.bar_stream import prompt_lines

VOICES = 4
PROMPT = prompt_lines("Baroque", "Bach, Johann Sebastian", "Choral")


class TimeBox(lightning.Callback):
    """Ends the fit after a time, cools the learning rate down before, shows a progress bar and keeps the losses.

    A demo promises minutes, not steps. A short training gains much from a learning rate that falls to zero at its end.

    Args:
        seconds: Length of the fit.
        cooling: Share of it in which the learning rate falls linearly to zero.
    """

    def __init__(self, seconds: float, cooling: float) -> None:
        self.seconds = seconds
        self.cooling = cooling
        self.train: list[tuple[int, float]] = []
        self.validation: list[tuple[int, float]] = []
        columns = (TextColumn("training"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns)

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.start = time.monotonic()
        self.rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
        self.task = self.progress.add_task("", total=self.seconds, note="")
        self.progress.start()

    def on_train_batch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule, batch: Any, batch_idx: int) -> None:
        left = 1.0 - (time.monotonic() - self.start) / self.seconds
        warm = min(1.0, (trainer.global_step + 1) / 20)
        for group, rate in zip(trainer.optimizers[0].param_groups, self.rates, strict=True):
            group["lr"] = rate * warm * max(0.0, min(1.0, left / self.cooling))
        trainer.should_stop = left <= 0.0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.train.append((trainer.global_step, bits(trainer.callback_metrics["train/loss"])))
        recent = [value for _, value in self.train[-20:]]
        validation = f", validation {self.validation[-1][1]:.3f}" if self.validation else ""
        note = f"step {trainer.global_step}, {sum(recent) / len(recent):.3f} bits a character{validation}"
        self.progress.update(self.task, completed=time.monotonic() - self.start, note=note)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if "val/loss" in trainer.callback_metrics:
            self.validation.append((trainer.global_step, bits(trainer.callback_metrics["val/loss"])))

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.progress.stop()


def bits(loss: torch.Tensor) -> float:
    return float(loss) / math.log(2.0)


def train(minutes: float, seed: int) -> tuple[BarStreamModule, ScoreDataModule, TimeBox]:
    """Fits a small bar-stream model to the chorales."""
    lightning.seed_everything(seed, verbose=False)
    model = BarStreamModule(
        patch_layers=4,
        char_layers=1,
        hidden=128,
        heads=2,
        patch_length=320,
        dropout=0.0,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.05),
        seed=seed,
    )
    chorales = [work for work in load_corpus("bach-chorales") if len(work.tune.voices) == VOICES]
    data = ScoreDataModule(
        chorales, representation=model.representation, batch_size=4, keys="finetune", prompts=True, val_fraction=0.08, seed=seed
    )
    box = TimeBox(60.0 * minutes, cooling=0.6)
    trainer = lightning.Trainer(
        max_epochs=-1,
        accelerator="cpu",
        gradient_clip_val=1.0,
        callbacks=[box],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=4,
    )
    trainer.fit(model, data)
    trainer.validate(model, data, verbose=False)
    return model, data, box


def compose(model: BarStreamModule, pieces: int, seed: int) -> list[Generated]:
    """Samples pieces whose bars are as long in every voice as the meter says."""
    return model.generate(
        ["\n".join(PROMPT) + "\n"] * pieces,
        Sampling(top_k=0, top_p=0.92, temperature=0.9),
        max_length=300,
        generator=torch.Generator().manual_seed(seed),
        guard=Guards([BarDurations(), Countdown(min_bars=8, max_bars=24)]),
        progress=True,
    )


def loss_curve(box: TimeBox, path: Path) -> None:
    """Draws training and validation loss over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*box.train, strict=True), linewidth=0.8, label="training (each batch)")
    axes.plot(*zip(*box.validation, strict=True), marker="o", label="validation")
    axes.set(xlabel="step", ylabel="bits per character", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


def write_all(piece: Tune, folder: Path) -> tuple[list[Path], list[str]]:
    """Writes the piece in every form; what cannot be made is said, and the rest is made."""
    written, missing = [], []
    for suffix in ("abc", "musicxml", "mid", "svg", "png", "wav"):
        path = folder / f"chorale.{suffix}"
        try:
            write(piece, path)
            written.append(path)
        except MusicZooError as error:
            missing.append(f"{path.name}: {error}")
    path = folder / "piano_roll.png"
    piano_roll_picture(piece, path)
    return [*written, path], missing


def check(path: Path, piece: Tune) -> str:
    """Opens a file that was written and says what is in it; fails when it is not the piece."""
    notes = len(piece.notes())
    match path.suffix:
        case ".abc" | ".musicxml" | ".mid":
            again = read(path)
            found = len(again.notes()) if isinstance(again, Tune) else again.note_num()
            # A MIDI file plays the repeats that notation only marks.
            notes = notes if isinstance(again, Tune) else len(piece.notes(expand_repeats=True))
            assert found == notes, f"{path} holds {found} notes instead of {notes}"
            return f"{found} notes"
        case ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
            return "a page"
        case ".png":
            with Image.open(path) as picture:
                picture.load()
                return f"{picture.width} x {picture.height} pixels"
        case ".wav":
            with wave.open(str(path)) as sound:
                seconds = sound.getnframes() / sound.getframerate()
            assert seconds > 1.0
            return f"{seconds:.0f} seconds"
    raise AssertionError(path)


def choose(results: Sequence[Generated]) -> Generated:
    """The first piece for four voices that came to its end; without one, the longest that can be read."""
    readable = [result for result in results if result.piece is not None and result.piece.voices]
    if not readable:
        raise SystemExit("No sampled piece could be read. Train longer: make demo ARGS='--minutes 6'")

    def merit(result: Generated) -> tuple[bool, bool, int]:
        voices = len(result.piece.voices) if result.piece is not None else 0
        whole = result.stop == "end" and voices == VOICES
        return whole, voices == VOICES, 0 if whole else len(result.tokens)

    return max(readable, key=merit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=4.0, help="length of the training")
    parser.add_argument("--pieces", type=int, default=4, help="pieces to sample; one is written")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    # Lightning advises on loaders, worker processes and step counts that are right for a corpus this small.
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)

    clock = [time.monotonic()]
    model, data, box = train(arguments.minutes, arguments.seed)
    loss_curve(box, arguments.output / "loss.png")
    clock.append(time.monotonic())
    results = compose(model, arguments.pieces, arguments.seed)
    chosen = choose(results)
    assert chosen.piece is not None
    clock.append(time.monotonic())
    piece = chosen.piece.with_header((Field("X", "1"), Field("T", "Chorale"), *chosen.piece.header))
    written, missing = write_all(piece, arguments.output)
    rows = [(path, check(path, piece)) for path in [*written, arguments.output / "loss.png"]]
    clock.append(time.monotonic())
    report(model, data, box, results, chosen, rows, missing, clock)


def report(
    model: BarStreamModule,
    data: ScoreDataModule,
    box: TimeBox,
    results: Sequence[Generated],
    chosen: Generated,
    rows: Sequence[tuple[Path, str]],
    missing: Sequence[str],
    clock: Sequence[float],
) -> None:
    """Prints what was done, in what time, and where it lies."""
    console = Console()
    first, last = (sum(value for _, value in part) / len(part) for part in (box.train[:10], box.train[-50:]))
    assert chosen.piece is not None
    bars = len(chosen.piece.voices[0].bars)
    facts = Table(title="A bar-stream model trained from nothing", show_header=False)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    facts.add_row("works", f"{len(data.splits.train)} to train on, {len(data.splits.validation)} to validate")
    facts.add_row("model", f"{parameters / 1e6:.1f} million parameters, {box.train[-1][0]} steps")
    facts.add_row("training loss", f"{first:.2f} -> {last:.3f} bits a character")
    facts.add_row("validation loss", " -> ".join(f"{value:.3f}" for _, value in box.validation) + " bits a character")
    facts.add_row("sampled", f"{len(results)} pieces, {sum(result.stop == 'end' for result in results)} came to their end")
    facts.add_row("written", f"{len(chosen.piece.voices)} voices, {bars} bars, {len(chosen.piece.notes())} notes")
    steps = zip(("reading and training", "sampling", "writing and checking"), clock, clock[1:], strict=False)
    facts.add_row("time", ", ".join(f"{name} {end - start:.0f} s" for name, start, end in steps))
    console.print(facts)
    files = Table("file", "bytes", "holds")
    for path, content in rows:
        files.add_row(str(path), f"{path.stat().st_size:,}", content)
    console.print(files)
    for sentence in missing:
        console.print(f"Not written: {sentence}", style="yellow")


if __name__ == "__main__":
    main()
