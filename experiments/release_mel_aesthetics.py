"""Makes mel-aesthetics, the small ear that comes with the package, and measures what it hears on held-out works.

musiczoo fit --config mel_aesthetics/shipped python experiments/release_mel_aesthetics.py ship
mel_aesthetics_shipped/checkpoints/last.ckpt hub/shipped/mel-aesthetics python
experiments/release_mel_aesthetics.py measure mel-aesthetics --soundfont
/usr/share/sounds/sf3/FluidR3Mono_GM.sf3
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from musiczoo.datamodules import DegradedTakesDataModule
from musiczoo.datamodules.degraded_passages import collate_graded
from musiczoo.datamodules.resumable import Draw
from musiczoo.hub.card import Card, Figure, Source
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.hub.opening import open_model
from musiczoo.models.mel_aesthetics import MelAestheticsModule
from musiczoo.models.mel_aesthetics.module import quantiles, won_pairs
from musiczoo.music.corpora.names import BUILT_IN
from musiczoo.music.degradation.passages import Takes
from musiczoo.music.degradation.performance import CLIP_KINDS

ORIGIN = (
    "Trained by the musiczoo authors from nothing with the recipe"
    " configs/mel_aesthetics/shipped.yaml. Net, task and training are ours; it stands where SMART"
    " (Jonason, Casini and Sturm 2025, arXiv 2504.16839) has Audiobox Aesthetics."
)
USE = (
    "An audio reward for tuning models of piano MIDI on a machine without a GPU and without a"
    " network (musiczoo.rewards.MelAesthetics)."
)
LIMITS = (
    "It has heard takes of some 4,200 short chorales and fiddle tunes as one piano of one"
    " soundfont, with constant tempo and nearly constant velocity, and synthetic degradations of"
    " them. It knows nothing of other instruments, of expressive timing, or of what listeners like:"
    " a high score says that a clip is not degraded in the ways it knows, and with another"
    " soundfont it errs more often. A policy that is optimised against it for long finds clips that"
    " it overrates."
)
_BATCH = 8


def heard(
    model: MelAestheticsModule, data: DegradedTakesDataModule, limit: int | None = None
) -> dict[str, Any]:
    """What the ear makes of one take of each held-out work and of each kind of degradation.

    Args:
        model: The ear.
        data: Its works, set up.
        limit: The first so many works alone.

    Returns:
        ``works``, and for each kind ``mean`` and ``sd`` of its logits, and ``above``: in which part
        of the pairs the real take is above it; for degradations that have strengths also by halves
        of the strength.
    """
    items = data.items(data.splits.validation[:limit], training=False)
    logits, kinds, strengths, won = [], [], [], torch.zeros(4, len(CLIP_KINDS), dtype=torch.float64)
    for start in range(0, len(items), _BATCH):
        batch = collate_graded(
            [items[Draw(0, index)] for index in range(start, min(start + _BATCH, len(items)))]
        )
        with torch.no_grad():
            found = model.net(batch["mel"], batch["lengths"])
        won[:2] += torch.stack(won_pairs(found, batch))
        light = (batch["kind"] == 0) | (batch["strength"] < 0.5)
        won[2:] += torch.stack(
            won_pairs(found[light], {name: value[light] for name, value in batch.items()})
        )
        logits.append(found)
        kinds.append(batch["kind"])
        strengths.append(batch["strength"])
        if start % 80 == 0:
            sys.stderr.write(f"{start} of {len(items)} works\n")
    values, kind = torch.cat(logits).double(), torch.cat(kinds)
    rows: dict[str, Any] = {
        "works": len(items),
        "real_logits": quantiles(values[kind == CLIP_KINDS.index("real")]),
    }
    for index, name in enumerate(CLIP_KINDS):
        mine = values[kind == index]
        rows[name] = {
            "mean": round(float(mine.mean()), 3),
            "sd": round(float(mine.std()), 3),
            "n": len(mine),
        }
        if index:
            rows[name]["above"] = round(float(won[0, index] / won[1, index]), 4)
            rows[name]["above_light"] = round(float(won[2, index] / won[3, index]), 4)
    return rows


def data_of(model: MelAestheticsModule, arguments: argparse.Namespace) -> DegradedTakesDataModule:
    """The works that a shipped ear was trained and measured on, with the same held out."""
    told = model.provenance["training"][-1]
    takes = Takes(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in told["takes"].items()
        }
    )
    data = DegradedTakesDataModule(
        told["corpus"],
        model.representation,
        takes=takes,
        val_fraction=told["val_fraction"],
        test_fraction=told["test_fraction"],
        split_seed=told["split_seed"],
        soundfont=arguments.soundfont,
        folder=arguments.clips,
        progress=False,
    )
    data.setup()
    return data


def ship(model: MelAestheticsModule, arguments: argparse.Namespace) -> None:
    data = data_of(model, arguments)
    rows = heard(model, data, arguments.limit)
    model.real_logits = rows["real_logits"]
    held = f"{rows['works']} held-out works"
    how = "one take of each, strength uniform from 0 to 1"
    figures = [
        Figure(
            f"real above {name}, percent of pairs", round(100 * rows[name]["above"], 1), held, how
        )
        for name in CLIP_KINDS
        if name != "real"
    ]
    figures += [
        Figure(
            f"logit of {name}, mean",
            rows[name]["mean"],
            held,
            f"standard deviation {rows[name]['sd']}",
        )
        for name in ("real", "silence", "noise")
    ]
    card = Card(
        title=arguments.folder.name,
        summary="A small ear that tells rendered music from rendered degraded music",
        load_name=arguments.folder.name,
        licence="mit",
        origin=ORIGIN,
        data=tuple(
            Source(name, BUILT_IN[name].licence)
            for name in model.provenance["training"][-1]["corpus"]
        ),
        figures=tuple(figures),
        intended_use=USE,
        limits=LIMITS,
    )
    save_checkpoint(model, arguments.folder, card=card, dtype="bfloat16", overwrite=True)
    print(json.dumps(rows, indent=1))


def measure(model: MelAestheticsModule, arguments: argparse.Namespace) -> None:
    print(json.dumps(heard(model, data_of(model, arguments), arguments.limit), indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for name, run in (("ship", ship), ("measure", measure)):
        command = commands.add_parser(name)
        command.add_argument("model", help="a run's checkpoint, or a name")
        command.add_argument("--soundfont", help="to render with; the default one otherwise")
        command.add_argument("--clips", type=Path, help="folder that keeps what is rendered")
        command.add_argument(
            "--limit", type=int, help="measure on the first so many held-out works alone"
        )
        if name == "ship":
            command.add_argument("folder", type=Path)
        command.set_defaults(run=run)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = open_model(arguments.model)
    assert isinstance(model, MelAestheticsModule)
    arguments.run(model, arguments)


if __name__ == "__main__":
    main()
