"""Measures what a bar-stream checkpoint writes: validity, bar alignment, copying, and bits per character beside an n-gram model.

    python experiments/sampling.py bar-stream python experiments/sampling.py runs/last.ckpt --pieces
    20 --top-k 0 --top-p 0.95 --temperature 1.0 --json

MODEL is anything that `musiczoo generate` opens. Pieces are prompted with all that stands before
the first bar of held-out chorales, and sampled twice from the same seed, without a guard and with
BarDurations. What was held out is read from the checkpoint's provenance; options replace it, and
what neither tells comes from the recipe of the shipped checkpoint. With --output are written
sampling.json (with all settings), the pieces, and a picture. The metrics and their rules stand in
docs/metrics.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table

from musiczoo.datamodules import ScoreDataModule
from musiczoo.datamodules.keys import KeyRule, possible_keys
from musiczoo.datamodules.resumable import Draw
from musiczoo.hub.opening import open_model
from musiczoo.metrics import (
    BarAlignmentError,
    BitsPerSymbol,
    CharacterNgram,
    CopyRate,
    SpanIndex,
    Validity,
    is_readable,
    longest_run,
    span_hashes,
)
from musiczoo.models.bar_stream.guards import BarDurations, Guard
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.sampling import Sampling
from musiczoo.music.abc import Tune, is_rest_bar, signature_key, transpose
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import BOS, BarStreamPatches

ORDER = 8
KEY_RULES: tuple[KeyRule, ...] = ("original", "finetune", "pretrain")
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
UNCUT = 10**6
CONSOLE = Console(stderr=True)

Item = TypeVar("Item")


def watched(items: Sequence[Item], what: str) -> Iterable[Item]:
    return track(items, description=what, console=CONSOLE)


def split_settings(model: GenerativeModule, options: argparse.Namespace) -> dict[str, Any]:
    """How the works were divided: what options say, else the checkpoint's last fit, else the recipe of the shipped checkpoint."""
    recipe = yaml.safe_load(files("musiczoo.configs").joinpath(RECIPE).read_text())["data"][
        "init_args"
    ]
    fits = getattr(model, "provenance", {}).get("training", [])
    told = dict(fits[-1]) if fits else {}
    told.setdefault("corpus", told.get("corpora"))
    found = {}
    for name in SPLIT_SETTINGS:
        value = getattr(options, name, None)
        value = told.get(name) if value is None else value
        value = recipe.get(name) if value is None else value
        if value is not None:
            found[name] = value
    return found


def header(tune: Tune) -> str:
    """All that stands before the first bar."""
    return "".join(f"{field.text}\n" for field in tune.header)


def held_out_texts(data: ScoreDataModule, held: Sequence[int]) -> dict[str, list[torch.Tensor]]:
    """The held-out works of each source as the model meets them in validation: original key, cropped to its context."""
    items = data.items(held, training=False)
    found: dict[str, list[torch.Tensor]] = {}
    for place, work in enumerate(items.works):
        found.setdefault(work.source, []).append(items[Draw(0, place)])
    return found


def net_bits(
    model: GenerativeModule, patches: Sequence[torch.Tensor], batch_size: int
) -> tuple[float, float]:
    """Bits per character of text and per target of the net, over the same total.

    The total holds all that the net pays for: every character after the begin patch, the marks that
    end patches, and the end patch.
    """
    representation: BarStreamPatches = model.representation
    characters, targets = BitsPerSymbol("character"), BitsPerSymbol("target")
    ordered = sorted(patches, key=len)
    with torch.inference_mode():
        for start in range(0, len(ordered), batch_size):
            some = ordered[start : start + batch_size]
            batch = {
                name: value.to(model.device) for name, value in representation.collate(some).items()
            }
            scores = model.log_probs(batch)
            characters.update(
                scores, symbols=sum(len(representation.decode_text(piece)) for piece in some)
            )
            targets.update(scores)
    return float(characters.compute()), float(targets.compute())


def ngram_bits(
    model: CharacterNgram, representation: BarStreamPatches, patches: Sequence[torch.Tensor]
) -> float:
    """Bits per character of the same texts; the end of a piece is one symbol more to pay for."""
    bits = BitsPerSymbol("character")
    for piece in patches:
        text = representation.decode_text(piece)
        # A crop of the head of a long piece has no end.
        ended = int(piece[-1, 0]) == BOS
        bits.update(
            torch.from_numpy(model.log2_probs(text, ended=ended)) * np.log(2), symbols=len(text)
        )
    return float(bits.compute())


def ngram(tunes: Sequence[Tune], representation: BarStreamPatches, rule: KeyRule) -> CharacterNgram:
    """An n-gram model of whole training texts, each once in every key that the rule may choose."""
    texts = []
    whole = BarStreamPatches(representation.patch_size, omit_rests=False)
    for tune in watched(tunes, f"n-grams, keys: {rule}"):
        # Finding out which rests can be left out takes most of the time, and no time where there
        # are none.
        has_rests = any(is_rest_bar(bar.text) for voice in tune.voices for bar in voice.bars)
        writer = representation if has_rests else whole
        for key in possible_keys(rule, signature_key(tune)):
            moved = tune if key is None else transpose(tune, key)
            texts.append(writer.decode_text(writer.encode(moved, max_length=UNCUT)))
    return CharacterNgram(texts, ORDER)


def span_indices(tunes: Sequence[Tune], bars: int) -> dict[str, SpanIndex]:
    """The training corpus's spans of all voices and of the top voice, each piece parsed once."""
    whole, top = [], []
    for tune in watched(tunes, "spans of the training corpus"):
        whole.append(span_hashes(tune, bars)[0])
        top.append(span_hashes(tune, bars, "top")[0])
    return {
        "all_voices": SpanIndex(np.concatenate(whole), bars),
        "top_voice": SpanIndex(np.concatenate(top), bars, "top"),
    }


def copying(pieces: Sequence[Tune], indices: dict[str, SpanIndex]) -> dict[str, Any]:
    """Copy rates, and how long the longest copied passages are."""
    found: dict[str, Any] = {}
    for name, index in indices.items():
        metric = CopyRate(index)
        metric.update(pieces)
        found[name] = {
            "percent": float(metric.compute()),
            "copied": int(metric.copied),
            "spans": int(metric.spans),
        }
    runs = [
        longest_run(*indices["all_voices"].copied(piece), indices["all_voices"].bars)
        for piece in pieces
    ]
    found["pieces_with_a_copied_span"] = sum(run > 0 for run in runs)
    found["longest_copied_passage_in_bars"] = max(runs, default=0)
    return found


def sampled(
    model: GenerativeModule,
    prompts: Sequence[str],
    guard: Guard | None,
    options: argparse.Namespace,
) -> tuple[list[Generated], float]:
    CONSOLE.print(
        f"{len(prompts)} pieces {'without a guard' if guard is None else 'with BarDurations'}"
    )
    began, began_computing = time.monotonic(), time.process_time()
    results = model.generate(
        prompts,
        sampling_of(options, model),
        options.max_length,
        torch.Generator().manual_seed(options.seed),
        batch_size=options.batch_size,
        guard=guard,
        # The bar of generate() writes to standard output, which belongs to the document.
        progress=not options.json,
    )
    return results, {
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(time.process_time() - began_computing, 1),
    }


def judged(
    results: Sequence[Generated], times: dict[str, float], indices: dict[str, SpanIndex]
) -> dict[str, Any]:
    """All figures of one set of generated pieces."""
    validity, alignment = Validity(), BarAlignmentError()
    validity.update(results)
    alignment.update(results)
    readable = [
        result.piece for result in results if result.piece is not None and is_readable(result)
    ]
    return {
        "percent": {name: float(value) for name, value in validity.compute().items()},
        "stops": dict(Counter(result.stop for result in results)),
        "bar_alignment_error": {
            "percent": float(alignment.compute()),
            "misaligned": int(alignment.misaligned),
            "bars": int(alignment.bars),
            "pieces_aligned_throughout": int(alignment.aligned_pieces),
            "pieces": int(alignment.pieces),
        },
        "copy_rate": copying(readable, indices),
        "voices": dict(sorted(Counter(len(piece.voices) for piece in readable).items())),
        "bars_median": (
            float(np.median([max(len(voice.bars) for voice in piece.voices) for piece in readable]))
            if readable
            else 0.0
        ),
        "patches": sum(len(result.tokens) for result in results),
        **times,
    }


def sampling_of(options: argparse.Namespace, model: GenerativeModule) -> Sampling:
    """What the options say, and else what the checkpoint recommends."""
    given = {item.name: getattr(options, item.name) for item in fields(Sampling)}
    return replace(
        model.sampling, **{name: value for name, value in given.items() if value is not None}
    )


def measure(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, list[Generated]]]:
    """The whole row."""
    model = open_model(options.model).to(options.device)
    if not isinstance(model, GenerativeModule) or not isinstance(
        model.representation, BarStreamPatches
    ):
        raise MusicZooError(
            f"{options.model} writes no bar streams.", remedy="Give a bar-stream model."
        )
    representation = model.representation
    split = split_settings(model, options)
    data = ScoreDataModule(
        **split,
        representation=representation,
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

    texts = held_out_texts(data, held)
    texts["all"] = [piece for pieces in list(texts.values()) for piece in pieces]
    bits: dict[str, dict[str, Any]] = {}
    for source, pieces in texts.items():
        per_character, per_target = net_bits(model, pieces, options.batch_size)
        characters = sum(len(representation.decode_text(piece)) for piece in pieces)
        bits[source] = {
            "works": len(pieces),
            "characters": characters,
            "net": per_character,
            "net_per_target": per_target,
        }
    training = data.items(data.splits.train, training=False)
    tunes = [
        training.tune(Draw(0, place))[0]
        for place in watched(range(len(training)), "reading the training corpus")
    ]
    for rule in options.ngram_keys:
        baseline = ngram(tunes, representation, rule)
        for source, pieces in texts.items():
            bits[source][f"ngram_{rule}"] = ngram_bits(baseline, representation, pieces)

    indices = span_indices(tunes, options.bars)
    held_items = data.items(held, training=False)
    held_tunes = [
        (work.source, held_items.tune(Draw(0, place))[0])
        for place, work in enumerate(held_items.works)
    ]
    human = {
        source: copying([tune for name, tune in held_tunes if name == source], indices)
        for source in dict.fromkeys(s for s, _ in held_tunes)
    }
    models = [
        tune
        for source, tune in held_tunes
        if source == options.prompts_from and len(tune.voices) == options.voices
    ]
    if not models:
        raise MusicZooError(
            f"No held-out work of {options.prompts_from!r} has {options.voices} voices.",
            where="--prompts-from",
            remedy=f"Held out are {', '.join(human)}.",
        )
    alignment = BarAlignmentError()
    alignment.update(models)
    headers = [header(tune) for tune in models]
    prompts = [headers[place % len(headers)] for place in range(options.pieces)]
    results: dict[str, list[Generated]] = {}
    figures: dict[str, Any] = {}
    for name, guard in (("without_guard", None), ("with_guard", BarDurations())):
        results[name], times = sampled(model, prompts, guard, options)
        figures[name] = judged(results[name], times, indices)
    report = {
        "model": options.model,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sampling": asdict(sampling_of(options, model)),
        "settings": {
            "pieces": options.pieces,
            "seed": options.seed,
            "batch_size": options.batch_size,
            "max_length": options.max_length or 4 * representation.max_length,
            "span_bars": options.bars,
            "prompts_from": {
                "corpus": options.prompts_from,
                "voices": options.voices,
                "works": len(headers),
                "headers": len({*headers}),
            },
            "guard": "BarDurations()",
            "ngram_order": ORDER,
        },
        "split": {
            **split,
            "part": part,
            **{name: len(places) for name, places in data.splits._asdict().items()},
        },
        **figures,
        "human": {
            "copy_rate": human,
            "bar_alignment_error_percent": float(alignment.compute()),
            "bars": int(alignment.bars),
        },
        "bits_per_character": bits,
        "machine": {
            "processor": processor_name(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": str(options.device),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }
    report["reached"] = reached(report, options)
    return report, results


def reached(report: dict[str, Any], options: argparse.Namespace) -> dict[str, bool]:
    """What the shipped checkpoint has to show, and whether this one does."""
    free, guarded = report["without_guard"], report["with_guard"]
    ngrams = [f"ngram_{rule}" for rule in options.ngram_keys]
    return {
        "at least 95 % parse and end by themselves": free["percent"]["valid"] >= 95,
        "bar-alignment error at most 2 %": free["bar_alignment_error"]["percent"] <= 2,
        "bar-alignment error 0 with the guard": guarded["bar_alignment_error"]["misaligned"] == 0,
        "at most 5 % of spans copied": free["copy_rate"]["all_voices"]["percent"] <= 5,
        "bits per character below the n-gram's in every source": all(
            row["net"] < min((row[name] for name in ngrams), default=0.0)
            for row in report["bits_per_character"].values()
        ),
    }


def processor_name() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in _lines("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def show(report: dict[str, Any], console: Console) -> None:
    """The figures as tables."""
    pieces = Table(
        "of the pieces",
        "without guard",
        "with guard",
        "held-out human pieces",
        title=f"{report['model']}: what it writes",
    )
    free, guarded, human = report["without_guard"], report["with_guard"], report["human"]
    for label, name in (
        ("read as music, %", "readable"),
        ("end by themselves, %", "ended"),
        ("both, %", "valid"),
    ):
        pieces.add_row(label, f"{free['percent'][name]:.0f}", f"{guarded['percent'][name]:.0f}", "")
    errors = [
        f"{row['bar_alignment_error']['percent']:.3f} ({row['bar_alignment_error']['bars']} bars)"
        for row in (free, guarded)
    ]
    pieces.add_row(
        "bar-alignment error, %",
        *errors,
        f"{human['bar_alignment_error_percent']:.3f} ({human['bars']} bars)",
    )
    for label, name in (
        ("spans copied, all voices, %", "all_voices"),
        ("spans copied, top voice, %", "top_voice"),
    ):
        rates = ", ".join(
            f"{source} {rate[name]['percent']:.2f}" for source, rate in human["copy_rate"].items()
        )
        pieces.add_row(
            label,
            f"{free['copy_rate'][name]['percent']:.2f}",
            f"{guarded['copy_rate'][name]['percent']:.2f}",
            rates,
        )
    longest = "longest_copied_passage_in_bars"
    passages = ", ".join(f"{source} {rate[longest]}" for source, rate in human["copy_rate"].items())
    pieces.add_row(
        "longest copied passage, bars",
        str(free["copy_rate"][longest]),
        str(guarded["copy_rate"][longest]),
        passages,
    )
    pieces.add_row(
        "voices: pieces",
        *(", ".join(f"{n}: {k}" for n, k in row["voices"].items()) for row in (free, guarded)),
        "",
    )
    pieces.add_row(
        "bars of a piece, median", f"{free['bars_median']:.0f}", f"{guarded['bars_median']:.0f}", ""
    )
    pieces.add_row("seconds", f"{free['seconds']:.0f}", f"{guarded['seconds']:.0f}", "")
    console.print(pieces)
    rows = report["bits_per_character"]
    ngrams = [name for name in next(iter(rows.values())) if name.startswith("ngram_")]
    names = [f"{ORDER}-gram, keys: {name.removeprefix('ngram_')}" for name in ngrams]
    bits = Table("held out", "works", "characters", "net", *names, title="bits per character")
    for source, row in rows.items():
        bits.add_row(
            source,
            f"{row['works']}",
            f"{row['characters']:,}",
            f"{row['net']:.3f}",
            *(f"{row[name]:.3f}" for name in ngrams),
        )
    console.print(bits)
    for sentence, is_reached in report["reached"].items():
        console.print(
            f"{'reached' if is_reached else 'MISSED '}  {sentence}",
            style="green" if is_reached else "red",
        )


def picture(report: dict[str, Any], path: Path) -> None:
    """Bits per character and copy rates as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = report["bits_per_character"]
    kinds = [
        name for name in next(iter(rows.values())) if name == "net" or name.startswith("ngram_")
    ]
    width = 0.8 / len(kinds)
    for place, kind in enumerate(kinds):
        label = "net" if kind == "net" else f"{ORDER}-gram, keys: {kind.removeprefix('ngram_')}"
        left.bar(
            np.arange(len(rows)) + place * width,
            [row[kind] for row in rows.values()],
            width,
            label=label,
        )
    left.set_xticks(np.arange(len(rows)) + 0.4 - width / 2, list(rows))
    left.set(ylabel="bits per character, held out")
    left.legend()
    rates = {
        "generated": report["without_guard"]["copy_rate"],
        "with guard": report["with_guard"]["copy_rate"],
        **report["human"]["copy_rate"],
    }
    for place, kind in enumerate(("all_voices", "top_voice")):
        right.bar(
            np.arange(len(rates)) + 0.4 * place,
            [rate[kind]["percent"] for rate in rates.values()],
            0.4,
            label=kind.replace("_", " "),
        )
    right.set_xticks(np.arange(len(rates)) + 0.2, list(rates))
    right.set(ylabel=f"copied spans of {report['settings']['span_bars']} bars, %")
    right.legend()
    figure.savefig(path, dpi=120)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a registry name, local-dir:FOLDER, a .ckpt, a run's folder")
    parser.add_argument("--pieces", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--top-k", type=int, help="what the checkpoint recommends if not given")
    parser.add_argument("--top-p", type=float, help="what the checkpoint recommends if not given")
    parser.add_argument("--min-p", type=float, help="what the checkpoint recommends if not given")
    parser.add_argument(
        "--temperature", type=float, help="what the checkpoint recommends if not given"
    )
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
        "--voices", type=int, default=4, help="of the pieces that give their headers"
    )
    split = parser.add_argument_group(
        "split",
        "As in training; by default what the checkpoint tells, else the recipe of the shipped one.",
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
