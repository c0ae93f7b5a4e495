"""The command ``musiczoo``: a table of commands, each in a module that is imported when called.

No model and no datamodule is defined here: configurations name classes by their import path, which
differs from what this module is called when it runs as a program.
"""

from __future__ import annotations

import difflib
import errno
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from musiczoo.configs.recipes import recipes
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        run: ``"module:function"``; the function takes the words after the command's name.
        summary: What it does, in a few words.
        example: A call as a user would write it.
    """

    run: str
    summary: str
    example: str


COMMANDS = {
    "list": Command("musiczoo.commands.list:run", "show the models", "musiczoo list"),
    "corpus": Command(
        "musiczoo.commands.corpus:run",
        "read a folder of music, name it, show it",
        "musiczoo corpus prepare my_scores --as mine",
    ),
    "fit": Command(
        "musiczoo.commands.fit:fit",
        "train or fine-tune a model",
        "musiczoo fit --config bar_stream/finetune --data.corpus my_scores",
    ),
    "validate": Command(
        "musiczoo.commands.fit:validate",
        "measure a model's loss",
        "musiczoo validate --config run/config.yaml --ckpt_path run/last.ckpt",
    ),
    "stages": Command(
        "musiczoo.commands.stages:run",
        "train in several stages, by a plan; run again, it continues",
        "musiczoo stages bar_stream/notagen_plan --folder runs/notagen",
    ),
    "generate": Command(
        "musiczoo.commands.generate:run",
        "generate new pieces",
        "musiczoo generate bar-stream --align --count 4",
    ),
    "continue": Command(
        "musiczoo.commands.continue_score:run",
        "continue a score",
        "musiczoo continue bar-stream my_score.musicxml --bars 4",
    ),
    "publish": Command(
        "musiczoo.commands.publish:publish",
        "put a model on the Hugging Face Hub",
        "musiczoo publish run name/my-model --licence mit",
    ),
    "card": Command(
        "musiczoo.commands.card:run",
        "measure pieces beside real music, or show a model card",
        "musiczoo card out --truth bach-chorales --encoder m3-small",
    ),
    "compare": Command(
        "musiczoo.commands.compare:run",
        "compare models on the same prompts",
        "musiczoo compare phi3-remi runs/smart --prompts 1000 --reward mel",
    ),
    "study": Command(
        "musiczoo.commands.study:run",
        "blinded listening sheets, and the statistics of their answers",
        "musiczoo study analyse my_study/key.json my_answers --output my_study/results",
    ),
    "completion": Command(
        "musiczoo.commands.completion:run",
        "print the completion script of a shell",
        'eval "$(musiczoo completion bash)"',
    ),
}


def usage() -> str:
    """The text of ``musiczoo --help``."""
    width = max(map(len, COMMANDS))
    rows = "".join(f"  {name:{width}}  {command.summary}\n" for name, command in COMMANDS.items())
    examples = "".join(f"  {command.example}\n" for command in COMMANDS.values())
    names = textwrap.fill(", ".join(recipes()), 78, initial_indent="  ", subsequent_indent="  ")
    return (
        f"usage: musiczoo COMMAND [OPTIONS]\n\ncommands:\n{rows}\nexamples:\n{examples}\nrecipes"
        f" for --config:\n{names}\n\nmusiczoo COMMAND --help lists the options of a command.\n"
    )


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line.

    Args:
        args: The words after ``musiczoo``; those of the process when None.

    Raises:
        SystemExit: With 1 for what is wrong with the user's files or settings (one line on standard
            error), with 2 for wrong usage, with 130 after an interrupt.
    """
    words = list(sys.argv[1:] if args is None else args)
    name = words[0] if words else ""
    if name in ("-h", "--help"):
        sys.stdout.write(usage())
        return
    if name == "--version":
        import musiczoo

        sys.stdout.write(f"musiczoo {musiczoo.__version__}\n")
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=2)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        sys.stderr.write(
            (f"musiczoo: there is no command {name!r}.{hint}\n" if name else "") + usage()
        )
        raise SystemExit(2)
    module, _, function = COMMANDS[name].run.partition(":")
    try:
        getattr(import_module(module), function)(words[1:])
    except MusicZooError as error:
        _fail(str(error), error)
    except BrokenPipeError:
        # The reader of our output has gone (musiczoo list | head): nobody reads an error either.
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _fail(
            f"{error.strerror}: {error.filename or 'the file being written'} Make room and run it"
            " again.",
            error,
        )
    except KeyboardInterrupt:
        sys.stderr.write("musiczoo: interrupted.\n")
        raise SystemExit(130) from None


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _fail(sentence: str, error: BaseException) -> None:
    sys.stderr.write(f"musiczoo: {' '.join(sentence.split())}\n")
    raise SystemExit(1) from error
