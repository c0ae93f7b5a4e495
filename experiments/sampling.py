"""Measures a bar-stream checkpoint: validity, bar alignment, copying, and bits per character.

    python -m experiments.sampling bar-stream
    python -m experiments.sampling runs/last.ckpt --pieces 20 --top-k 0 --top-p 0.95 --json

MODEL is anything that `musiczoo generate` opens. Each prompt is the header of a held-out chorale
(everything before its first bar). The pieces are sampled twice from one seed: without a guard and
with BarDurations. Which works were held out is read from the checkpoint's provenance; options
replace it, and the recipe of the shipped checkpoint gives the rest. --output writes sampling.json
(with all settings), the pieces and a picture. docs/metrics.md defines the metrics.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it also runs as a file

from experiments._machine import machine, versions
from experiments._sampling_bits import (
    KEY_RULES,
    ORDER,
    bits_per_character,
    held_out_texts,
    watched,
)
from experiments._sampling_pieces import copying, measured, sampled, sampling_of, span_indices
from experiments._sampling_report import picture, reached, show
from musiczoo.datamodules import ScoreDataModule
from musiczoo.datamodules.resumable import Draw
from musiczoo.hub.opening import open_model
from musiczoo.metrics import BarAlignmentError
from musiczoo.models.bar_stream.guards import BarDurations
from musiczoo.models.base import Generated, GenerativeModule
from musiczoo.music.abc import Tune
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import BarStreamPatches

RECIPE = "bar_stream/shipped_finetune.yaml"
SPLIT_SETTINGS = (
    "corpus",
    "exclude",
    "val_fraction",
    "test_fraction",
    "split_seed",
    "max_staves",
    "prompts",
)
PACKAGES = ("musiczoo", "torch", "lightning", "transformers", "torchmetrics", "numpy", "music21")


def split_settings(model: GenerativeModule, options: argparse.Namespace) -> dict[str, Any]:
    """How the works are divided: by options, by the checkpoint's last fit, or by the recipe."""
    recipe = yaml.safe_load(files("musiczoo.configs").joinpath(RECIPE).read_text())["data"][
        "init_args"
    ]
    fits = getattr(model, "provenance", {}).get("training", [])
    recorded = dict(fits[-1]) if fits else {}
    recorded.setdefault("corpus", recorded.get("corpora"))
    found = {}
    for name in SPLIT_SETTINGS:
        value = getattr(options, name, None)
        value = recorded.get(name) if value is None else value
        value = recipe.get(name) if value is None else value
        if value is not None:
            found[name] = value
    return found


def header(tune: Tune) -> str:
    """Everything before the first bar."""
    return "".join(f"{field.text}\n" for field in tune.header)


def opened(options: argparse.Namespace) -> GenerativeModule:
    """The model of the options.

    Raises:
        MusicZooError: When it generates no bar streams.
    """
    model = open_model(options.model).to(options.device)
    if not isinstance(model, GenerativeModule) or not isinstance(
        model.representation, BarStreamPatches
    ):
        raise MusicZooError(
            f"{options.model} generates no bar streams.", remedy="Give a bar-stream model."
        )
    return model


def divided(
    model: GenerativeModule, options: argparse.Namespace
) -> tuple[ScoreDataModule, dict[str, Any], Sequence[int]]:
    """The works, the settings of their split (with ``part``), and the places of the held-out works.

    Raises:
        MusicZooError: When nothing is held out.
    """
    split = split_settings(model, options)
    data = ScoreDataModule(
        **split,
        representation=model.representation,
        keys="original",
        cache=options.cache,
        progress=not options.json,
    )
    data.setup()
    part = options.part or ("test" if data.splits.test else "validation")
    held: Sequence[int] = getattr(data.splits, part)
    if not held:
        raise MusicZooError(
            f"There are no {part} works.",
            where="--part",
            remedy="Give --val-fraction or --test-fraction as in training.",
        )
    counts = {name: len(places) for name, places in data.splits._asdict().items()}
    return data, {**split, "part": part, **counts}, held


def tunes_of(data: ScoreDataModule, places: Sequence[int], what: str) -> list[tuple[str, Tune]]:
    """Source and music of works, in their original keys."""
    items = data.items(places, training=False)
    return [
        (work.source, items.tune(Draw(0, place))[0])
        for place, work in watched(list(enumerate(items.works)), what)
    ]


def giving_headers(held: Sequence[tuple[str, Tune]], options: argparse.Namespace) -> list[Tune]:
    """The held-out works whose headers are the prompts.

    Raises:
        MusicZooError: When there are no such works.
    """
    found = [
        tune
        for source, tune in held
        if source == options.prompts_from and len(tune.voices) == options.voices
    ]
    if not found:
        raise MusicZooError(
            f"No held-out work of {options.prompts_from!r} has {options.voices} voices.",
            where="--prompts-from",
            remedy=f"Held out are {', '.join(dict.fromkeys(source for source, _ in held))}.",
        )
    return found


def settings_of(
    model: GenerativeModule, headers: Sequence[str], options: argparse.Namespace
) -> dict[str, Any]:
    """The settings that the figures depend on."""
    return {
        "pieces": options.pieces,
        "seed": options.seed,
        "batch_size": options.batch_size,
        "max_length": options.max_length or 4 * model.representation.max_length,
        "span_bars": options.bars,
        "prompts_from": {
            "corpus": options.prompts_from,
            "voices": options.voices,
            "works": len(headers),
            "headers": len({*headers}),
        },
        "guard": "BarDurations()",
        "ngram_order": ORDER,
    }


def measure(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, list[Generated]]]:
    """All figures, and the generated pieces without and with the guard."""
    model = opened(options)
    data, split, held = divided(model, options)
    training = [tune for _, tune in tunes_of(data, data.splits.train, "reading the training works")]
    texts = held_out_texts(data, held)
    bits = bits_per_character(model, texts, training, options.ngram_keys, options.batch_size)
    indices = span_indices(training, options.bars)
    held_tunes = tunes_of(data, held, "reading the held-out works")
    human = {
        source: copying([tune for name, tune in held_tunes if name == source], indices)
        for source in dict.fromkeys(source for source, _ in held_tunes)
    }
    examples = giving_headers(held_tunes, options)
    alignment = BarAlignmentError()
    alignment.update(examples)
    headers = [header(tune) for tune in examples]
    prompts = [headers[place % len(headers)] for place in range(options.pieces)]
    results: dict[str, list[Generated]] = {}
    figures: dict[str, Any] = {}
    for name, guard in (("without_guard", None), ("with_guard", BarDurations())):
        results[name], times = sampled(model, prompts, guard, options)
        figures[name] = measured(results[name], times, indices)
    report = {
        "model": options.model,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sampling": asdict(sampling_of(options, model)),
        "settings": settings_of(model, headers, options),
        "split": split,
        **figures,
        "human": {
            "copy_rate": human,
            "bar_alignment_error_percent": float(alignment.compute()),
            "bars": int(alignment.bars),
        },
        "bits_per_character": bits,
        "machine": machine() | {"threads": torch.get_num_threads(), "device": str(options.device)},
        "versions": versions(*PACKAGES),
    }
    report["reached"] = reached(report, options)
    return report, results


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a registry name, local-dir:FOLDER, a .ckpt, a run's folder")
    parser.add_argument("--pieces", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--top-k", type=int, help="the checkpoint's own if not given")
    parser.add_argument("--top-p", type=float, help="the checkpoint's own if not given")
    parser.add_argument("--min-p", type=float, help="the checkpoint's own if not given")
    parser.add_argument("--temperature", type=float, help="the checkpoint's own if not given")
    parser.add_argument(
        "--max-length", type=int, metavar="PATCHES", help="four contexts if not given"
    )
    parser.add_argument("--bars", type=int, default=4, help="bars of a span")
    parser.add_argument(
        "--ngram-keys",
        nargs="*",
        choices=KEY_RULES,
        default=list(KEY_RULES),
        help="augmentations of the n-gram's texts",
    )
    parser.add_argument("--prompts-from", default="bach-chorales", metavar="CORPUS")
    parser.add_argument(
        "--voices", type=int, default=4, help="of the works whose headers are the prompts"
    )
    split = parser.add_argument_group(
        "split",
        "As in training; by default the checkpoint's own, or that of the shipped recipe.",
    )
    split.add_argument("--corpus", nargs="+")
    split.add_argument("--exclude", nargs="*")
    split.add_argument("--val-fraction", type=float)
    split.add_argument("--test-fraction", type=float)
    split.add_argument("--split-seed", type=int)
    split.add_argument(
        "--part",
        choices=("validation", "test"),
        help="what counts as held out; the test works where there are some",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps")
    parser.add_argument("--cache", type=Path, help="folder of the corpus cache")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write sampling.json, sampling.png and the pieces there",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    options = parser().parse_args(words)
    report, results = measure(options)
    document = json.dumps(report, indent=2)
    if options.output:
        for name, pieces in results.items():
            folder = options.output / name
            folder.mkdir(parents=True, exist_ok=True)
            for number, piece in enumerate(pieces, 1):
                write_atomically(folder / f"{number:03d}.txt", piece.text.encode())
        write_atomically(options.output / "sampling.json", f"{document}\n".encode())
        picture(report, options.output / "sampling.png")
    if options.json:
        sys.stdout.write(f"{document}\n")
    else:
        show(report, Console())
    return report


if __name__ == "__main__":
    try:
        main()
    except MusicZooError as error:
        raise SystemExit(f"sampling: {' '.join(str(error).split())}") from error
