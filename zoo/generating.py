"""The command ``musiczoo generate``: new pieces from a model, as files."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guard, Guards
from musiczoo.models.base import GenerativeModule
from musiczoo.models.sampling import Sampling
from musiczoo.music import write
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import prompt_lines

_log = logging.getLogger(__name__)
FORMATS = ("abc", "musicxml", "mxl", "mid", "svg", "png", "wav")


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo generate", description="Writes new pieces.", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "model", help="a name of the registry (notagen-x), a weights file, a checkpoint of `musiczoo fit`, or the folder of its run"
    )
    prompt = parser.add_argument_group("prompt")
    prompt.add_argument("--period", help="Baroque, Classical or Romantic")
    prompt.add_argument("--composer", help="as listed on IMSLP: Bach, Johann Sebastian")
    prompt.add_argument("--instrumentation", help="Keyboard, Chamber, Orchestral, Art Song, Choral or Vocal-Orchestral")
    prompt.add_argument("--prompt", type=Path, metavar="FILE", help="interleaved ABC to go on from: header lines, bars if any")
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--count", type=int, default=1, help="pieces")
    sampling.add_argument("--seed", type=int, default=0, help="the same seed gives the same pieces")
    sampling.add_argument("--top-k", type=int, default=9, help="keep the k likeliest characters; 0 keeps all")
    sampling.add_argument("--top-p", type=float, default=0.9, help="keep the likeliest characters up to this probability; 1 keeps all")
    sampling.add_argument("--min-p", type=float, default=0.0, help="keep characters of this share of the best one's probability")
    sampling.add_argument("--temperature", type=float, default=1.2, help="above 1 bolder, below 1 safer, 0 always the most probable")
    sampling.add_argument("--max-length", type=int, metavar="PATCHES", help="patches of a piece at most; four contexts if not given")
    sampling.add_argument("--batch-size", type=int, default=16, help="pieces at once")
    sampling.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    guards = parser.add_argument_group("guards", "What may be said is steered; nothing is thrown away.")
    guards.add_argument("--align", action="store_true", help="the voices of every bar have one length")
    guards.add_argument("--meter", action="store_true", help="as --align, and every bar is as long as the meter says")
    guards.add_argument("--min-bars", type=int, metavar="N", help="bars at least; the piece ends where its countdown ends")
    guards.add_argument("--max-bars", type=int, metavar="N", help="bars at most; the piece ends where its countdown ends")
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, default=Path("."), metavar="FOLDER", help="made if it does not exist")
    output.add_argument("--name", default="piece", help="files are called NAME-1.abc, NAME-2.abc ...")
    output.add_argument("--formats", default="abc,musicxml,mid", help=f"of {', '.join(FORMATS)}")
    output.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def run(words: Sequence[str]) -> list[Path]:
    """Generates and writes pieces.

    Args:
        words: The options.

    Returns:
        The files written. A format that cannot be made (sound without a soundfont) is reported and left out.

    Raises:
        MusicZooError: The model, the prompt or an option cannot be used, or not one piece could be written.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    formats = [name.strip().lstrip(".").lower() for name in options.formats.split(",") if name.strip()]
    if unknown := [name for name in formats if name not in FORMATS]:
        raise MusicZooError(f"There is no format {', '.join(unknown)}.", where="--formats", remedy=f"Choose of {', '.join(FORMATS)}.")
    prompt = _prompt(options)
    guard = _guard(options)
    sampling = Sampling(options.top_k, options.top_p, options.min_p, options.temperature)
    model = open_model(options.model).to(_device(options.device))
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MusicZooError(f"The folder cannot be made ({error.strerror}).", path=options.output) from None
    results = model.generate(
        [prompt] * options.count,
        sampling,
        options.max_length,
        torch.Generator().manual_seed(options.seed),
        batch_size=options.batch_size,
        guard=guard,
        progress=not options.quiet,
    )
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    written: list[Path] = []
    problems: list[str] = []
    for number, result in enumerate(results, 1):
        base = options.output / f"{options.name}-{number}"
        if result.piece is None:
            # What the model said is kept for the user to look at, under a suffix that promises no notation.
            base.with_name(f"{base.name}.txt").write_text(result.text)
            problems.append(f"{base}.txt is no readable piece: {result.error}")
            continue
        for suffix in formats:
            try:
                written.append(write(result.piece, base.with_name(f"{base.name}.{suffix}")))
            except MusicZooError as error:
                problems.append(f"{base}.{suffix} is not written: {error}")
        if result.stop != "end":
            problems.append(f"{base} was cut off at {len(result.tokens)} patches, before its end.")
    for problem in problems:
        console.print(f"musiczoo: {' '.join(problem.split())}", markup=False)
    if not written:
        raise MusicZooError("No piece could be written.", path=options.output, remedy="Try another seed, or --align.")
    for path in written:
        console.print(str(path), markup=False)
    return written


def open_model(name: str) -> GenerativeModule:
    """The model of a registry name, a weights file in its published layout, a Lightning checkpoint, or the folder of a run.

    Of a run's folder the newest checkpoint is taken.

    Raises:
        MusicZooError: There is no such model, or it cannot be opened.
    """
    from musiczoo.hub.loading import load

    path = Path(name)
    if path.is_dir():
        checkpoints = sorted(path.rglob("*.ckpt"), key=lambda file: file.stat().st_mtime)
        if not checkpoints:
            raise MusicZooError(
                "The folder holds no checkpoint.", path=path, remedy="Give a run's folder, such as lightning_logs/version_0."
            )
        path = checkpoints[-1]
        _log.info("%s", path)
    model = _from_checkpoint(path) if path.suffix == ".ckpt" else load("notagen", weights=path) if path.is_file() else load(name)
    assert isinstance(model, GenerativeModule)
    return model.eval()


def _from_checkpoint(path: Path) -> BarStreamModule:
    if not path.is_file():
        raise MusicZooError("There is no such checkpoint.", path=path)
    try:
        return BarStreamModule.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # What a damaged file makes the unpickler raise is of no fixed kind. Nothing but tensors and plain values is unpickled, so a file
        # with code in it ends here too.
        raise MusicZooError(
            f"The checkpoint cannot be opened ({str(error).splitlines()[0]}).",
            path=path,
            remedy="Give one that musiczoo fit wrote.",
        ) from error


def _prompt(options: argparse.Namespace) -> str:
    labels = (options.period, options.composer, options.instrumentation)
    text = ""
    if any(labels):
        if not all(labels):
            raise MusicZooError("A prompt has all three labels or none.", remedy="Give --period, --composer and --instrumentation.")
        text = "\n".join(prompt_lines(*labels)) + "\n"
    if options.prompt is not None:
        try:
            text += options.prompt.read_text("ascii")
        except OSError as error:
            raise MusicZooError(f"The prompt cannot be read ({error.strerror}).", path=options.prompt) from None
        except UnicodeDecodeError:
            raise MusicZooError("The prompt is not ASCII text.", path=options.prompt, remedy="Clean it first.") from None
    return text


def _guard(options: argparse.Namespace) -> Guards | None:
    guards: list[Guard] = [BarDurations(meter=options.meter)] if options.align or options.meter else []
    if options.min_bars is not None or options.max_bars is not None:
        low = options.min_bars or 1
        guards.append(Countdown(low, max(low, 1000) if options.max_bars is None else options.max_bars))
    return Guards(guards) if guards else None


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MusicZooError(f"The device cannot be used ({str(error).splitlines()[0]}).", where="--device") from None
    return device
