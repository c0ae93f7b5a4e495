"""The command ``musiczoo publish``, and the model card of a checkpoint folder."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from musiczoo.hub.card import Card, render_card
from musiczoo.hub.checkpoint import CONFIG, STORED_TYPES, read_checkpoint, with_card, write_config
from musiczoo.hub.opening import MODEL_HELP
from musiczoo.hub.publishing import Published
from musiczoo.music.errors import MusicZooError


def publish_parser() -> argparse.ArgumentParser:
    """The options of ``publish``."""
    parser = argparse.ArgumentParser(
        prog="musiczoo publish",
        description=(
            "Puts a model on the Hugging Face Hub: weights, configuration, card, and what verifies"
            " a download."
        ),
    )
    parser.add_argument("model", help=MODEL_HELP)
    parser.add_argument("repository", metavar="org/name", help="made if there is none")
    parser.add_argument(
        "--private", action="store_true", help="if the repository is made, make it private"
    )
    parser.add_argument("--revision", metavar="BRANCH", help="publish on a branch instead of main")
    parser.add_argument("--tag", help="a new name for this version")
    parser.add_argument(
        "--dtype",
        choices=sorted(STORED_TYPES),
        default="float32",
        help="how weights are stored (a folder: as they are)",
    )
    parser.add_argument("--message", default="", help="of the commit")
    add_card_options(parser, licence_needed=True)
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def add_card_options(
    parser: argparse.ArgumentParser, *, licence_needed: bool, title: str = "card"
) -> argparse._ArgumentGroup:
    """Adds what a model card is made from.

    Args:
        parser: Gets the options.
        licence_needed: Whether the licence must be given.
        title: Of the group of options.

    Returns:
        The group.
    """
    group = parser.add_argument_group(title)
    group.add_argument(
        "--licence",
        "--license",
        required=licence_needed,
        metavar="ID",
        help="of the weights: mit, cc-by-4.0, or other",
    )
    group.add_argument("--licence-name", metavar="NAME", help="of a licence that is 'other'")
    group.add_argument("--licence-link", metavar="URL", help="to its text")
    group.add_argument("--title", help="name of the model")
    group.add_argument("--summary", help="what it is, in a line")
    group.add_argument("--origin", help="who trained it, and after which paper")
    group.add_argument("--intended-use", metavar="TEXT", help="what it is for")
    group.add_argument("--limits", metavar="TEXT", help="what it is not for, and known weaknesses")
    group.add_argument(
        "--figure",
        action="append",
        default=[],
        metavar="METRIC=VALUE[@DATA]",
        help=(
            "what was measured, as often as needed: --figure 'bits per character=1.42@held-out"
            " reels'"
        ),
    )
    return group


def publish(words: Sequence[str]) -> Published:
    """Publishes a model.

    Args:
        words: The options.

    Returns:
        Where it was published.

    Raises:
        MusicZooError: The model, the licence or the repository cannot be used, or the Hub refuses.
        SystemExit: Wrong usage.
    """
    options = publish_parser().parse_args(words)
    from musiczoo.hub.card_fields import check_licence
    from musiczoo.hub.opening import open_model
    from musiczoo.hub.publishing import publish as send

    # A wrong word is reported before a large model is opened, which takes minutes.
    check_licence(options.licence, options.licence_name or "", options.licence_link or "")
    folder = Path(options.model)
    is_checkpoint = (folder / CONFIG).is_file()
    card = _with_figures(
        _with_options(read_checkpoint(folder).card if is_checkpoint else Card(), options),
        options.figure,
    )
    done = send(
        folder if is_checkpoint else open_model(options.model),
        options.repository,
        licence=card.licence,
        licence_name=card.licence_name,
        licence_link=card.licence_link,
        card=card,
        dtype=options.dtype,
        private=options.private,
        revision=options.revision,
        tag=options.tag,
        message=options.message,
    )
    if options.json:
        sys.stdout.write(json.dumps(asdict(done), indent=1) + "\n")
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print(
            f'{done.url}\ncommit {done.commit}\nmusiczoo.load("{done.load_name}")', markup=False
        )
    return done


def model_card(folder: Path, options: argparse.Namespace) -> str:
    """Shows the card of a checkpoint folder, and writes a new one where an option asks for that.

    Args:
        folder: The checkpoint.
        options: Those of :func:`add_card_options`, ``refresh`` and ``json``.

    Returns:
        The card.

    Raises:
        MusicZooError: The folder is no checkpoint, cannot be written to, or an option cannot be
            used.
    """
    checkpoint = read_checkpoint(folder)
    changed = _with_figures(_with_options(checkpoint.card, options), options.figure)
    if options.refresh or changed != checkpoint.card:
        checkpoint = with_card(checkpoint, changed)
        write_config(checkpoint)
    text = render_card(checkpoint.content)
    if options.json:
        shown = {name: value for name, value in checkpoint.content.items() if name != "files"}
        sys.stdout.write(json.dumps(shown, indent=1, ensure_ascii=False) + "\n")
    elif sys.stdout.isatty():
        Console().print(Markdown(text.partition("\n---\n")[2]))
    else:
        sys.stdout.write(text)
    return text


def _with_options(card: Card, options: argparse.Namespace) -> Card:
    names = (
        "licence",
        "licence_name",
        "licence_link",
        "title",
        "summary",
        "origin",
        "intended_use",
        "limits",
    )
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if "licence" in given and given["licence"] != "other":
        # The name and link of an older "other" licence do not belong to a new one.
        given = {"licence_name": "", "licence_link": "", **given}
    return replace(card, **given)


def _with_figures(card: Card, words: Sequence[str]) -> Card:
    for word in words:
        metric, equals, rest = word.partition("=")
        value, _, data = rest.partition("@")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (equals and metric.strip() and math.isfinite(number)):
            raise MusicZooError(
                f"{word!r} is no figure.",
                where="--figure",
                remedy="Write METRIC=VALUE or METRIC=VALUE@DATA.",
            )
        card = card.with_figures(
            {metric.strip(): {"value": number, **({"data": data.strip()} if data.strip() else {})}}
        )
    return card
