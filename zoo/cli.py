"""The command ``musiczoo``: calls one of :data:`musiczoo.commands.COMMANDS`, and shows its errors.

No model and no data module is defined here: configurations name classes by their import path, which
differs from what this module is called when it runs as a program.
"""

from __future__ import annotations

import difflib
import errno
import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module

from musiczoo.commands import COMMANDS, Command
from musiczoo.configs.recipes import recipes
from musiczoo.music.errors import MusicZooError

__all__ = ["COMMANDS", "Command", "main", "usage"]


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
