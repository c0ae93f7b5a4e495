"""The demo: loads the shipped model, fine-tunes it on a new collection, and generates new pieces.

    python -m experiments.demo    # make demo: less than six minutes on two cores

Everything is the library's own: musiczoo.load, corpus, datamodule, Trainer.fit, generate,
continue_pieces and musiczoo.music.write. Guards keep the music in time: every new bar is as long
as its meter. All files are opened again and checked.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import lightning
import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it also runs as a file

import musiczoo
from experiments._files import check, check_bars, write_all
from experiments._time_box import TimeBox
from musiczoo.datamodules import ScoreDataModule
from musiczoo.metrics import BitsPerSymbol
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.continuation import Continued
from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guards
from musiczoo.models.base import Generated, TokenLogProbs
from musiczoo.music.abc import Field, Tune
from musiczoo.music.recipes.labels import Labels

SOURCE = "aird"
LABELS = Labels("Traditional", "Aird's Airs", "tune")
OPENING_BARS = 4
MIN_BARS, MAX_BARS = 8, 24
CONSOLE = Console()
Bits: TypeAlias = tuple[float, float]
"""Bits per character of the whole text, and without the prompt lines."""


@dataclass
class Clock:
    """The seconds of the demo's parts."""

    last: float = field(default_factory=time.monotonic)
    parts: dict[str, float] = field(default_factory=dict)

    def stop(self, part: str) -> None:
        """Ends a part; the next one begins."""
        now = time.monotonic()
        self.parts[part], self.last = now - self.last, now


def opened(name: str, seed: int) -> BarStreamModule:
    """The model, with the optimiser of the demo."""
    model = musiczoo.load(
        name,
        seed=seed,
        optimizer=lambda parameters: torch.optim.AdamW(
            parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05
        ),
    )
    assert isinstance(model, BarStreamModule)
    return model


def collection(model: BarStreamModule, seed: int) -> ScoreDataModule:
    """The tunes, a tenth of them held out."""
    data = ScoreDataModule(
        SOURCE,
        representation=model.representation,
        batch_size=8,
        keys="finetune",
        prompts=True,
        val_fraction=0.0,
        test_fraction=0.1,
        seed=seed,
    )
    data.setup()
    return data


def held_out_bits(model: BarStreamModule, data: ScoreDataModule) -> tuple[float, float]:
    """Bits per character of the held-out tunes: of the whole text, and without the prompt lines.

    The three prompt lines name the collection, which is new to the model; the second figure leaves
    that easy gain out.
    """
    whole, music = BitsPerSymbol("character"), BitsPerSymbol("character")
    size = model.net.config.patch_size
    prompts = {
        label: len(model.representation.encode_prompt("Traditional", "Aird's Airs", label))
        for label in rhythms(data)
    }
    model.eval()
    with torch.no_grad():
        for batch in data.test_dataloader():
            scores = model.log_probs(batch)
            whole.update(scores)
            hidden = torch.zeros_like(scores.mask)
            for row, patches in enumerate(batch["patches"]):
                label = (
                    model.representation.decode_text(patches[: max(prompts.values())])
                    .split("\n")[2]
                    .removeprefix("%")
                )
                # The begin patch is no target.
                hidden[row, : (prompts[label] - 1) * size] = True
            music.update(
                TokenLogProbs(scores.values.masked_fill(hidden, 0.0), scores.mask & ~hidden)
            )
    return float(whole.compute()), float(music.compute())


def rhythms(data: ScoreDataModule) -> set[str]:
    """The third labels of the collection."""
    return {work.labels.instrumentation for work in data.works if work.labels is not None}


def fine_tune(model: BarStreamModule, data: ScoreDataModule, minutes: float) -> TimeBox:
    """Fits the model to the collection."""
    box = TimeBox(60.0 * minutes, cooling=0.7)
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
    )
    trainer.fit(model, data)
    return box


def compose(model: BarStreamModule, pieces: int, seed: int) -> list[Generated]:
    """Samples tunes; every bar is as long as the meter, except an upbeat and the last one."""
    return model.generate(
        [LABELS] * pieces,
        generator=torch.Generator().manual_seed(seed),
        guard=Guards([BarDurations(meter=True), Countdown(MIN_BARS, MAX_BARS)]),
        progress=True,
    )


def go_on(model: BarStreamModule, opening: Tune, seed: int) -> Continued:
    """Continues the first bars of a tune; every new bar is as long as the meter."""
    [continued] = model.continue_pieces(
        [opening],
        bars=OPENING_BARS,
        max_bars=MAX_BARS,
        generator=torch.Generator().manual_seed(seed),
        guard=BarDurations(meter=True),
    )
    return continued


def choose(results: Sequence[Generated]) -> Generated:
    """The longest piece that ended; if none did, the longest that can be read."""
    readable = [result for result in results if result.piece is not None and result.piece.notes()]
    if not readable:
        raise SystemExit(
            "No sampled piece could be read. Try another seed: make demo ARGS='--seed 2'"
        )
    return max(readable, key=lambda result: (result.stop == "end", len(result.tokens)))


def loss_curve(box: TimeBox, before: float, after: float, path: Path) -> None:
    """Draws the training loss over the steps and the held-out loss before and after."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*box.train, strict=True), linewidth=0.8, label="training (each batch)")
    axes.plot([0, box.train[-1][0]], [before, after], marker="o", linestyle="--", label="held out")
    axes.set(xlabel="step", ylabel="bits per character", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


def show_facts(title: str, facts: dict[str, str], files: Sequence[tuple[Path, str]]) -> None:
    """Two tables: what was done, and the files."""
    done = Table(title=title, show_header=False)
    for name, value in facts.items():
        done.add_row(name, value)
    CONSOLE.print(done)
    table = Table("file", "bytes", "holds")
    for path, content in files:
        table.add_row(str(path), f"{path.stat().st_size:,}", content)
    CONSOLE.print(table)


def fit_and_measure(
    model: BarStreamModule, data: ScoreDataModule, minutes: float, output: Path
) -> dict[str, str]:
    """Fine-tunes, draws the losses to ``loss.png``, and gives the facts of the fit."""
    before = held_out_bits(model, data)
    CONSOLE.print(
        f"held out, before: {before[0]:.3f} bits a character ({before[1]:.3f} without the prompt"
        " lines)"
    )
    box = fine_tune(model, data, minutes)
    after = held_out_bits(model, data)
    loss_curve(box, before[0], after[0], output / "loss.png")
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    steps = box.train[-1][0]
    facts = {"model": f"{parameters:.1f} million parameters, {steps} steps of fine-tuning"}
    for name, old, new in zip(("held out", "without the prompt lines"), before, after, strict=True):
        facts[name] = f"{old:.3f} -> {new:.3f} bits a character ({(new - old) / old:+.1%})"
    return facts


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bar-stream", help="a name that musiczoo.load opens")
    parser.add_argument("--minutes", type=float, default=2.5, help="length of the fine-tuning")
    parser.add_argument("--pieces", type=int, default=4, help="tunes to sample; one is written")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    return parser.parse_args()


def main() -> None:
    options = arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    # Lightning advises on loaders, worker processes and step counts that suit a corpus this small.
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    clock = Clock()
    lightning.seed_everything(options.seed, verbose=False)
    model = opened(options.model, options.seed)
    data = collection(model, options.seed)
    # The longest held-out tune: the same opening in every run.
    opening = max((data.works[index] for index in data.splits.test), key=lambda work: work.notes)
    CONSOLE.print(
        f"{SOURCE}: {len(data.splits.train)} tunes to train on, {len(data.splits.test)} held out;"
        f" {options.model} was trained on none of them"
    )
    facts = fit_and_measure(model, data, options.minutes, options.output)
    clock.stop("reading and fine-tuning")

    results = compose(model, options.pieces, options.seed)
    chosen = choose(results)
    ended = sum(result.stop == "end" for result in results)
    facts["sampled"] = f"{len(results)} tunes, {ended} ended"
    continued = go_on(model, opening.tune, options.seed)
    facts["continued"] = f"{opening.tune.field('T', opening.id)}, {OPENING_BARS} bars given: " + (
        f"not readable: {continued.error}"
        if continued.piece is None
        else f"{len(continued.piece.voices[0].bars)} bars"
    )
    clock.stop("sampling")

    assert isinstance(chosen.piece, Tune)
    header = (Field("X", "1"), Field("T", "Tune"), *chosen.piece.header)
    pieces = {"tune": chosen.piece.with_header(header)}
    check_bars(pieces["tune"], 0)
    if continued.piece is not None:
        pieces["continued"] = continued.piece
        check_bars(continued.piece, OPENING_BARS)
    written, missing = write_all(pieces, options.output)
    files = [(path, check(path, piece)) for path, piece in written]
    files.append((options.output / "loss.png", check(options.output / "loss.png", pieces["tune"])))
    clock.stop("writing and checking")
    facts["time"] = ", ".join(f"{part} {seconds:.0f} s" for part, seconds in clock.parts.items())
    show_facts(f"{options.model}, fine-tuned on {SOURCE}", facts, files)
    for sentence in missing:
        CONSOLE.print(f"Not written: {sentence}", style="yellow")


if __name__ == "__main__":
    main()
