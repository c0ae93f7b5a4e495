"""The command ``musiczoo completion``: a script by which a shell completes what is typed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

import shtab

from musiczoo.commands import COMMANDS
from musiczoo.configs.recipes import recipes
from musiczoo.hub.registry import list_models


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo completion",
        description=(
            'Prints a completion script. For bash: eval "$(musiczoo completion bash)" in ~/.bashrc.'
        ),
    )
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    return parser


def run(words: Sequence[str]) -> None:
    """Prints the script.

    Args:
        words: The options.

    Raises:
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    sys.stdout.write(shtab.complete(whole_parser(), options.shell) + "\n")


def whole_parser() -> argparse.ArgumentParser:
    """One parser with all commands below it."""
    whole = argparse.ArgumentParser(prog="musiczoo")
    commands = whole.add_subparsers()
    for name, command in COMMANDS.items():
        module, _, function = command.run.partition(":")
        made = (
            _training_parser()
            if module == "musiczoo.commands.fit"
            else getattr(import_module(module), _parser_name(module, function))()
        )
        _complete_files_and_models(made)
        commands.add_parser(name, parents=[made], add_help=False, help=command.summary)
    return whole


def _parser_name(module: str, function: str) -> str:
    """``run`` has its options in ``parser``.

    A module of several commands has one parser for each, such as ``publish_parser``.
    """
    return "parser" if function == "run" else f"{function}_parser"


def _training_parser() -> argparse.ArgumentParser:
    """The options of ``fit`` and ``validate`` that are typed by hand; the others are in files."""
    parser = argparse.ArgumentParser()
    config = parser.add_argument("--config", choices=recipes())
    config.complete = shtab.FILE  # type: ignore[attr-defined]
    for option in ("--ckpt_path", "--data.corpus", "--model.pretrained"):
        parser.add_argument(option).complete = shtab.FILE  # type: ignore[attr-defined]
    for option in (
        "--print_config",
        "--data.batch_size",
        "--trainer.max_epochs",
        "--trainer.max_steps",
        "--trainer.max_time",
    ):
        parser.add_argument(option)
    return parser


def _complete_files_and_models(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if action.dest == "model":
            action.choices = [row.name for row in list_models()]
        elif action.choices is None and not action.option_strings:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
