"""The one error family of musiczoo: what was wrong, where, and what to do about it."""

from __future__ import annotations

from pathlib import Path


class MusicZooError(Exception):
    """Something in the user's input, files or settings that musiczoo cannot work with.

    Args:
        message: What was wrong, in a sentence.
        path: The file it was found in.
        where: The place inside the file or piece, such as ``"line 3"``, ``"voice 2, bar 17"`` or
            ``"field K:"``.
        remedy: What the user can do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        where: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.message = message
        self.path = None if path is None else str(path)
        self.where = where
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.path, self.where) if part)
        sentence = f"{place}: {self.message}" if place else self.message
        return f"{sentence} {self.remedy}" if self.remedy else sentence

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes send errors home by pickling; keyword-only arguments need a hand.
        return _rebuild, (type(self), self.message, self.path, self.where, self.remedy)

    def at(self, *, path: str | Path | None = None, where: str | None = None) -> MusicZooError:
        """The same error with a place added where none was known."""
        return type(self)(
            self.message, path=self.path or path, where=self.where or where, remedy=self.remedy
        )


def _rebuild(
    kind: type[MusicZooError], message: str, path: str | None, where: str | None, remedy: str | None
) -> MusicZooError:
    return kind(message, path=path, where=where, remedy=remedy)
