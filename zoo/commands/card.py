"""The command ``musiczoo card``: the model card of a checkpoint, or the report card of pieces."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from musiczoo.commands.publish import add_card_options, model_card
from musiczoo.hub.checkpoint import CONFIG
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.atomic import write_atomically
from musiczoo.music.corpora.corpus import Corpus, Work
from musiczoo.music.corpora.names import corpus_names, load_corpus
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

if TYPE_CHECKING:
    from musiczoo.metrics import ReportCard

_ESTIMATORS = ("mle", "ledoit_wolf", "shrinkage", "oas", "infinity")


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo card",
        description=(
            f"Of a checkpoint folder (one with {CONFIG}): shows its model card, and with options of"
            " the card writes a new one. Of anything else: measures the pieces in it, beside a"
            " ground truth if one is given."
        ),
    )
    parser.add_argument(
        "what",
        help=(
            "a checkpoint folder; or a folder of ABC, MusicXML and MIDI files, one such file, or a"
            " corpus by name"
        ),
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    model = add_card_options(parser, licence_needed=False, title="of a checkpoint")
    model.add_argument("--refresh", action="store_true", help=f"write a new card from {CONFIG}")
    group = parser.add_argument_group("of pieces")
    group.add_argument(
        "--truth",
        metavar="CORPUS",
        help="real music to compare with: a folder or the name of a corpus",
    )
    group.add_argument(
        "--truth-works", type=int, metavar="N", help="use N of its works, drawn at random"
    )
    group.add_argument(
        "--training", metavar="CORPUS", help="what a model was trained on, for the copy rate"
    )
    group.add_argument(
        "--encoder",
        metavar="NAME",
        help="gives the features for CLaMP score and Frechet distance, such as m3-small",
    )
    group.add_argument(
        "--model", metavar="NAME", help="gives bits per character, bar and note, and perplexity"
    )
    group.add_argument(
        "--estimator",
        action="append",
        choices=_ESTIMATORS,
        help="of the Frechet distance; as often as wanted (default: mle, ledoit_wolf)",
    )
    group.add_argument("--seed", type=int, help="of what is drawn (default: 0)")
    group.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, mps, for encoder and model (default: cpu)"
    )
    group.add_argument(
        "--output", type=Path, metavar="FOLDER", help="gets report_card.json and report_card.png"
    )
    group.add_argument(
        "--cache", metavar="FOLDER", help="instead of MUSICZOO_CACHE or the user's cache folder"
    )
    group.add_argument("--quiet", action="store_true", default=None, help="no progress bar")
    parser.set_defaults(own={"checkpoint": _names(model), "pieces": _names(group)})
    return parser


def _names(group: Any) -> dict[str, str]:
    """The options of a group: where argparse puts them, and how they are typed."""
    return {action.dest: action.option_strings[0] for action in group._group_actions}


def run(words: Sequence[str]) -> str | ReportCard:
    """Shows a model card, or measures pieces.

    Args:
        words: The options.

    Returns:
        The text of the model card, or the report card.

    Raises:
        MusicZooError: It is neither a checkpoint nor pieces that can be read, an option of the one
            was given for the other, or a corpus, encoder or model cannot be used.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    is_checkpoint = (Path(options.what) / CONFIG).is_file()
    other, is_of = ("pieces", "a checkpoint") if is_checkpoint else ("checkpoint", "pieces")
    if wrong := [
        typed
        for name, typed in options.own[other].items()
        if getattr(options, name) not in (None, False, [])
    ]:
        raise MusicZooError(
            f"{wrong[0]} is no option for {is_of}.",
            path=options.what,
            remedy=f"A folder with {CONFIG} is a checkpoint.",
        )
    return model_card(Path(options.what), options) if is_checkpoint else _report(options)


def _report(options: argparse.Namespace) -> ReportCard:
    pieces = _pieces(options)
    truth = None if options.truth is None else _corpus(options.truth, options)
    if options.encoder and truth is None:
        raise MusicZooError(
            "Features are compared with those of real music.",
            where="--encoder",
            remedy="Give some with --truth.",
        )
    training = None if options.training is None else _corpus(options.training, options)
    # Torch and the models are imported only now that everything named was found.
    from musiczoo.metrics import SpanIndex, report_card

    seed = options.seed or 0
    works = [] if truth is None else _drawn(truth, options.truth_works, seed)
    estimators = list(dict.fromkeys(options.estimator or ("mle", "ledoit_wolf")))
    with Console(stderr=True, quiet=bool(options.quiet or options.json)).status("measuring"):
        card = report_card(
            [work.tune for work in pieces],
            None if truth is None else [work.tune for work in works],
            encoder=_encoder(options) if options.encoder else None,
            model=_model(options) if options.model else None,
            training=None if training is None else SpanIndex.of(work.tune for work in training),
            labels=[_prompt(work) for work in pieces],
            truth_labels=None if truth is None else [_prompt(work) for work in works],
            estimators=[name for name in estimators if name != "infinity"],
            infinity="infinity" in estimators,
            unread=_reasons(pieces),
            truth_unread={} if truth is None or options.truth_works else _reasons(truth),
            names=(pieces.name, "ground truth" if truth is None else f"ground truth: {truth.name}"),
            seed=seed,
        )
    _show(card, pieces, options)
    return card


def _pieces(options: argparse.Namespace) -> Corpus:
    known = options.what in corpus_names(cache=options.cache)
    if not known and not Path(options.what).exists():
        raise MusicZooError(
            "There is no such folder.",
            path=options.what,
            remedy="Give a checkpoint folder, a folder of pieces, or the name of a corpus.",
        )
    try:
        return _corpus(options.what, options)
    except MusicZooError as error:
        if known or Path(options.what).is_file():
            raise
        raise MusicZooError(
            f"This is no checkpoint folder (there is no {CONFIG} in it), and no pieces can be read"
            f" from it either: {error.message}",
            path=options.what,
            remedy=error.remedy,
        ) from error


def _corpus(name: str, options: argparse.Namespace) -> Corpus:
    return load_corpus(name, cache=options.cache, progress=not (options.quiet or options.json))


def _drawn(truth: Corpus, count: int | None, seed: int) -> Sequence[Work]:
    """All works, or some of them in their order."""
    if count is None or count >= len(truth):
        return truth
    if count < 1:
        raise MusicZooError(
            f"{count} works are no ground truth.", where="--truth-works", remedy="Give two or more."
        )
    return [truth[place] for place in sorted(random.Random(seed).sample(range(len(truth)), count))]


def _reasons(corpus: Corpus) -> dict[str, int]:
    return dict(Counter(row.reason for row in corpus.skipped))


def _prompt(work: Work) -> Labels | None:
    """The labels that the corpus knows, or those of the three comment lines of a prompt."""
    if work.labels is not None:
        return work.labels
    lines = [line.value for line in clean(work.tune).header if line.name == "%"]
    return Labels(*lines) if len(lines) == 3 else None


def _encoder(options: argparse.Namespace) -> Any:
    from musiczoo.metrics.features import load_encoder

    encoder = load_encoder(options.encoder, where="--encoder")
    return encoder.to(options.device or "cpu").eval()


def _model(options: argparse.Namespace) -> Any:
    from musiczoo.hub.opening import open_model
    from musiczoo.models.base.generative import GenerativeModule

    model = open_model(options.model)
    if not isinstance(model, GenerativeModule):
        raise MusicZooError(
            f"{options.model} gives no likelihoods.",
            where="--model",
            remedy="Name one like bar-stream.",
        )
    return model.to(options.device or "cpu").eval()


def _show(card: ReportCard, pieces: Corpus, options: argparse.Namespace) -> None:
    names = ("what", "truth", "truth_works", "training", "encoder", "model", "estimator", "seed")
    settings = {name: getattr(options, name) for name in names}
    document = json.dumps(
        {"settings": settings, **card.to_dict()}, indent=1, ensure_ascii=False, allow_nan=False
    )
    if options.output:
        from musiczoo.metrics.card_picture import report_card_picture

        options.output.mkdir(parents=True, exist_ok=True)
        write_atomically(options.output / "report_card.json", f"{document}\n".encode())
        report_card_picture(card, options.output / "report_card.png")
    if options.json:
        sys.stdout.write(f"{document}\n")
        return
    console = Console(highlight=False)
    table = Table(title=Text(f"Report card: {pieces.name}"), box=SIMPLE)
    for name in ("", *(one.name for one in card.columns())):
        table.add_column(Text(name))
    for name, *cells in card.rows():
        table.add_row(name, *(Text(cell) for cell in cells))
    console.print(table)
    for one in card.columns():
        for title, reasons in (("unreadable", one.unreadable), ("left out", one.left_out)):
            for reason, count in reasons.items():
                console.print(Text(f"{one.name}, {title}: {count} x {reason}"))
    if options.output:
        console.print(
            Text(f"{options.output / 'report_card.json'}\n{options.output / 'report_card.png'}"),
            soft_wrap=True,
        )
