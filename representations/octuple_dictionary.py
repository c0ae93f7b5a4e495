"""The file ``dict.txt`` in which fairseq keeps the tokens of MusicBERT."""

from __future__ import annotations

from pathlib import Path

from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple import TOKENS


def write_dictionary(path: str | Path) -> None:
    """Writes the dictionary file: a line for each token but the special ones.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_dictionary(f"{folder}/dict.txt")
    ...     check_dictionary(f"{folder}/dict.txt")
    """
    lines = [f"{name} 0" for name in TOKENS[4:-1]]
    write_atomically(Path(path), ("\n".join(lines) + "\n").encode())


def check_dictionary(path: str | Path) -> None:
    """Checks that a dictionary file of fairseq lists the tokens of this format in their order.

    Raises:
        MusicZooError: It cannot be read, or lists others.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise MusicZooError(f"The dictionary cannot be read ({error}).", path=path) from None
    names = [line.split()[0] if line.split() else "" for line in lines]
    for number, name in enumerate(TOKENS[4:-1]):
        if number >= len(names) or names[number] != name:
            raise MusicZooError(
                f"The dictionary does not have {name} here.",
                path=path,
                where=f"line {number + 1}",
                remedy="Give the dict.txt of MusicBERT.",
            )
    if len(names) > len(TOKENS) - 5:
        raise MusicZooError(
            f"The dictionary has {len(names):,} lines instead of {len(TOKENS) - 5:,}.",
            path=path,
            remedy="Give the dict.txt of MusicBERT.",
        )
