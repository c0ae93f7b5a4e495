"""Releases mel-aesthetics, the small audio scorer, and measures it on held-out works.

    musiczoo fit --config mel_aesthetics/shipped
    python -m experiments.release_mel_aesthetics ship CHECKPOINT hub/shipped/mel-aesthetics
    python -m experiments.release_mel_aesthetics measure mel-aesthetics --soundfont SOUNDFONT

CHECKPOINT is the run's mel_aesthetics_shipped/checkpoints/last.ckpt.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from experiments._release import last_fit, release
from musiczoo.datamodules import DegradedTakesDataModule
from musiczoo.datamodules.degraded_passages import collate_graded
from musiczoo.datamodules.resumable import Draw
from musiczoo.hub.card import Figure
from musiczoo.hub.opening import open_model
from musiczoo.models.mel_aesthetics import MelAestheticsModule
from musiczoo.models.mel_aesthetics.module import quantiles, won_pairs
from musiczoo.music.degradation.passages import Takes
from musiczoo.music.degradation.performance import CLIP_KINDS

ORIGIN = (
    "Trained by the musiczoo authors from random weights with the recipe"
    " configs/mel_aesthetics/shipped.yaml. Net, task and training are ours. It replaces Audiobox"
    " Aesthetics in the setting of SMART (Jonason, Casini and Sturm 2025, arXiv 2504.16839)."
)
USE = (
    "An audio reward for tuning models of piano MIDI on a machine without a GPU and without a"
    " network (musiczoo.rewards.MelAesthetics)."
)
LIMITS = (
    "It was trained on passages of some 4,200 short chorales and fiddle tunes, played by one piano"
    " of one soundfont with constant tempo and nearly constant velocity, and on synthetic"
    " degradations of them. It knows nothing of other instruments, of expressive timing, or of what"
    " listeners like: a high score means that a clip is not degraded in the ways it knows. With"
    " another soundfont it errs more often. A policy that is optimised against it for long finds"
    " clips that it overrates."
)
_BATCH = 8


def heard(
    model: MelAestheticsModule, data: DegradedTakesDataModule, limit: int | None = None
) -> dict[str, Any]:
    """Scores one passage of each held-out work, and each kind of degradation of it.

    Args:
        model: The audio scorer.
        data: Its works, set up.
        limit: Number of works; all when None.

    Returns:
        ``works``, the quantiles ``real_logits``, and for each kind ``mean``, ``sd`` and ``n`` of
        its logits, ``above``, the part of the pairs in which the real passage scores higher, and
        ``above_light``, the same for degradations of less than half the strength.
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
    """The works that the shipped audio scorer was trained on, with the same held out."""
    fit = last_fit(model)
    takes = Takes(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fit["takes"].items()
        }
    )
    data = DegradedTakesDataModule(
        fit["corpus"],
        model.representation,
        takes=takes,
        val_fraction=fit["val_fraction"],
        test_fraction=fit["test_fraction"],
        split_seed=fit["split_seed"],
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
    how = "one passage of each, strength uniform from 0 to 1"
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
    release(
        model,
        arguments.folder,
        figures,
        summary="A small audio scorer that separates rendered music from rendered degraded music",
        origin=ORIGIN,
        intended_use=USE,
        limits=LIMITS,
    )
    print(json.dumps(rows, indent=1))


def measure(model: MelAestheticsModule, arguments: argparse.Namespace) -> None:
    print(json.dumps(heard(model, data_of(model, arguments), arguments.limit), indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for name, run in (("ship", ship), ("measure", measure)):
        command = commands.add_parser(name)
        command.add_argument("model", help="a run's checkpoint, or a name")
        command.add_argument("--soundfont", help="to render with, if not the default one")
        command.add_argument("--clips", type=Path, help="folder that keeps the rendered clips")
        command.add_argument("--limit", type=int, help="number of held-out works to measure on")
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
