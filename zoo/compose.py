"""What ``musiczoo generate`` and ``musiczoo continue`` have in common: the model, the labels, how notes are drawn, and what is written."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.table import Table

from musiczoo.hub.opening import MODEL_HELP, open_model
from musiczoo.metrics.bar_alignment import bar_alignment
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.guards import BarDurations, Guard
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.prompts import checked_labels
from musiczoo.models.sampling import Sampling
from musiczoo.music import write
from musiczoo.music.abc import Tune
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

if TYPE_CHECKING:
    from symusic.core import ScoreTick

FORMATS = ("abc", "musicxml", "mxl", "mid", "svg", "png", "wav")


@dataclass(frozen=True)
class Draft:
    """A piece to be written to files.

    Attributes:
        piece: The piece, None when it cannot be read.
        generated: What the model wrote.
        error: Why there is no piece.
        facts: What else to tell of it, as JSON values.
    """

    piece: Tune | ScoreTick | None
    generated: Generated
    error: MusicZooError | None
    facts: dict[str, Any]


def new_parser(command: str, description: str, *, aligned: bool) -> argparse.ArgumentParser:
    """A parser with the options that both commands have.

    Args:
        command: ``"generate"`` or ``"continue"``.
        description: What it does.
        aligned: Whether bars are aligned unless the user says otherwise.
    """
    parser = argparse.ArgumentParser(
        prog=f"musiczoo {command}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("model", help=MODEL_HELP)
    labels = parser.add_argument_group(
        "labels",
        "What the piece is to be like; --list-prompts shows what the model was trained with.",
    )
    labels.add_argument("--period", help="such as Baroque; Traditional for folk tunes")
    labels.add_argument(
        "--composer",
        help="as listed on IMSLP: Bach, Johann Sebastian; for folk tunes the collection",
    )
    labels.add_argument(
        "--instrumentation", help="such as Choral; for folk tunes the rhythm, such as reel"
    )
    labels.add_argument(
        "--new-labels", action="store_true", help="take labels that the model was not trained with"
    )
    labels.add_argument(
        "--list-prompts",
        action="store_true",
        help="show the labels that the model was trained with, and do nothing else",
    )
    sampling = parser.add_argument_group(
        "sampling", "Settings that are not given are those that the checkpoint recommends."
    )
    sampling.add_argument("--count", type=int, default=1, help="pieces")
    sampling.add_argument("--seed", type=int, default=0, help="the same seed gives the same pieces")
    for option, kind, text in (
        ("--top-k", int, "keep the k likeliest characters; 0 keeps all"),
        ("--top-p", float, "keep the likeliest characters up to this probability; 1 keeps all"),
        ("--min-p", float, "keep characters of this share of the best one's probability"),
        ("--temperature", float, "above 1 bolder, below 1 safer, 0 always the most probable"),
    ):
        sampling.add_argument(option, type=kind, default=argparse.SUPPRESS, help=text)
    sampling.add_argument(
        "--max-length",
        type=int,
        metavar="PATCHES",
        help="patches of a piece at most; four contexts if not given",
    )
    sampling.add_argument("--batch-size", type=int, default=16, help="pieces at once")
    sampling.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    guards = parser.add_argument_group(
        "guards", "What may be said is steered; nothing is thrown away."
    )
    guards.add_argument(
        "--align",
        action=argparse.BooleanOptionalAction,
        default=aligned,
        help="the voices of every bar have one length",
    )
    guards.add_argument(
        "--meter",
        action="store_true",
        help="as --align, and every bar is as long as the meter says",
    )
    guards.add_argument(
        "--min-bars",
        type=int,
        metavar="N",
        help="bars of the piece at least; it ends where its countdown ends",
    )
    guards.add_argument(
        "--max-bars",
        type=int,
        metavar="N",
        help="bars of the piece at most; it ends where its countdown ends",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output", type=Path, default=Path("."), metavar="FOLDER", help="made if it does not exist"
    )
    output.add_argument(
        "--name", default="piece", help="files are called NAME-1.abc, NAME-2.abc ..."
    )
    output.add_argument("--formats", default="abc,musicxml,mid", help=f"of {', '.join(FORMATS)}")
    output.add_argument(
        "--json",
        action="store_true",
        help="print one JSON document: files, why each piece stopped, figures",
    )
    output.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def formats_of(options: argparse.Namespace) -> list[str]:
    """The formats to write.

    Raises:
        MusicZooError: One that does not exist.
    """
    formats = [
        name.strip().lstrip(".").lower() for name in options.formats.split(",") if name.strip()
    ]
    if unknown := [name for name in formats if name not in FORMATS]:
        raise MusicZooError(
            f"There is no format {', '.join(unknown)}.",
            where="--formats",
            remedy=f"Choose of {', '.join(FORMATS)}.",
        )
    return formats


def sampling_of(options: argparse.Namespace, model: GenerativeModule) -> Sampling:
    """How characters are drawn: as the options say, and else as the model recommends.

    Raises:
        MusicZooError: A setting out of range, or no piece at all is asked for.
    """
    for name in ("count", "batch_size"):
        if getattr(options, name) < 1:
            raise MusicZooError(
                f"{getattr(options, name)} is too few.",
                where=f"--{name.replace('_', '-')}",
                remedy="Give 1 or more.",
            )
    return replace(
        model.sampling,
        **{
            item.name: getattr(options, item.name)
            for item in fields(Sampling)
            if hasattr(options, item.name)
        },
    )


def alignment_of(options: argparse.Namespace) -> Guard | None:
    """The guard of bar lengths, if one is asked for."""
    return BarDurations(meter=options.meter) if options.align or options.meter else None


def labels_of(options: argparse.Namespace, model: GenerativeModule) -> Labels | None:
    """The labels, checked against those of the model.

    Those not given are what goes with the others most often in its training.

    Raises:
        MusicZooError: Some labels and not all for a model that does not tell its own, or labels
            that the model was not trained with.
    """
    given = {
        item.name: getattr(options, item.name)
        for item in fields(Labels)
        if getattr(options, item.name)
    }
    if not given:
        return None
    labels = dict(given)
    if len(given) < len(fields(Labels)):
        if not model.prompts:
            raise MusicZooError(
                "A prompt has all three labels or none.",
                remedy="Give --period, --composer and --instrumentation.",
            )
        fitting = [
            prompt
            for prompt in model.prompts
            if all(getattr(prompt, name) == value for name, value in given.items())
        ]
        likeliest = max(fitting or model.prompts, key=lambda prompt: prompt.count)
        labels = {item.name: getattr(likeliest, item.name) for item in fields(Labels)} | given
    return checked_labels(Labels(**labels), model.prompts, options.new_labels)


def model_of(options: argparse.Namespace) -> BarStreamModule:
    """The model, on its device.

    Raises:
        MusicZooError: There is no such model, it cannot be opened, it does not write scores, or the
            device does not exist.
    """
    return scores_of(open_model(options.model), options)


def scores_of(model: object, options: argparse.Namespace) -> BarStreamModule:
    """An opened model as one that writes scores, on its device; see :func:`model_of`."""
    if not isinstance(model, BarStreamModule):
        raise MusicZooError(
            f"{options.model} is a model that does not write scores.",
            remedy="musiczoo list shows what each model does.",
        )
    return model.to(device_of(options.device)).eval()


def device_of(name: str) -> torch.device:
    """The device of a name; ``"auto"`` takes a GPU where there is one.

    Raises:
        MusicZooError: It cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MusicZooError(
            f"The device cannot be used ({str(error).splitlines()[0]}).", where="--device"
        ) from None
    return device


def list_prompts(options: argparse.Namespace) -> None:
    """Shows the labels that a model was trained with, the most frequent first."""
    model = model_of(options)
    prompts = sorted(model.prompts, key=lambda prompt: -prompt.count)
    if options.json:
        names = ("period", "composer", "instrumentation", "count")
        _print_json(
            {
                "model": options.model,
                "prompts": [{name: getattr(prompt, name) for name in names} for prompt in prompts],
            }
        )
        return
    if not prompts:
        Console(stderr=True).print(
            "The model does not tell what labels it was trained with; it takes any.", markup=False
        )
        return
    table = Table("period", "composer", "instrumentation", "works")
    for prompt in prompts:
        table.add_row(prompt.period, prompt.composer, prompt.instrumentation, str(prompt.count))
    Console().print(table)


def deliver(
    drafts: Sequence[Draft], formats: Sequence[str], options: argparse.Namespace
) -> list[Path]:
    """Writes pieces to files and tells what became of each.

    Args:
        drafts: The pieces.
        formats: What to write.
        options: Of the command.

    Returns:
        The files written. A format that cannot be made (sound without a soundfont) is reported and
        left out.

    Raises:
        MusicZooError: The folder cannot be made, or not one piece could be written.
    """
    written: list[Path] = []
    problems: list[str] = []
    records: list[dict[str, Any]] = []
    for number, draft in enumerate(drafts, 1):
        base = options.output / f"{options.name}-{number}"
        own: list[str] = []
        files: list[Path] = []
        if draft.piece is None:
            # What the model said is kept for the user to look at, under a suffix that promises no
            # notation.
            files.append(
                write_atomically(base.with_name(f"{base.name}.txt"), draft.generated.text.encode())
            )
            own.append(f"{base}.txt is no readable piece: {draft.error}")
        else:
            for suffix in formats:
                try:
                    files.append(write(draft.piece, base.with_name(f"{base.name}.{suffix}")))
                except MusicZooError as error:
                    own.append(f"{base}.{suffix} is not written: {error}")
            written += files
        if draft.generated.stop != "end":
            own.append(
                f"{base} was cut off at {len(draft.generated.tokens)} {_unit(draft)}, before its"
                " end."
            )
        records.append({"files": [str(path) for path in files], **_figures(draft), "problems": own})
        problems += own
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for problem in problems:
        console.print(f"musiczoo: {' '.join(problem.split())}", markup=False)
    if options.json:
        _print_json({"model": options.model, "seed": options.seed, "pieces": records})
    if not written:
        raise MusicZooError(
            "No piece could be written.",
            path=options.output,
            remedy="Try another seed, or --align.",
        )
    if not options.json:
        for path in written:
            console.print(str(path), markup=False)
    return written


def make_folder(options: argparse.Namespace) -> None:
    """Makes the folder of the output before the work begins.

    Raises:
        MusicZooError: It cannot be made.
    """
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MusicZooError(
            f"The folder cannot be made ({error.strerror}).", path=options.output
        ) from None


def _figures(draft: Draft) -> dict[str, Any]:
    """What is known of a piece, as JSON values.

    The probability is that of the full softmax at the sampling temperature.
    """
    generated = draft.generated
    said = generated.log_probs[generated.scored]
    figures: dict[str, Any] = {
        "readable": draft.piece is not None,
        "stop": generated.stop,
        "patches": len(generated.tokens),
        "bits_per_character": round(-float(said.mean()) / math.log(2), 4) if len(said) else None,
        **draft.facts,
    }
    if isinstance(draft.piece, Tune):
        alignment = bar_alignment(draft.piece)
        figures |= {
            "voices": len(draft.piece.voices),
            "bars": max((len(voice.bars) for voice in draft.piece.voices), default=0),
            "misaligned_bars": len(alignment.misaligned),
        }
    elif draft.piece is not None:
        figures |= {
            "notes": draft.piece.note_num(),
            "tokens": figures.pop("patches"),
            "bits_per_token": figures.pop("bits_per_character"),
        }
    return figures


def _unit(draft: Draft) -> str:
    return "patches" if draft.piece is None or isinstance(draft.piece, Tune) else "tokens"


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
