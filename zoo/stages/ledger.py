"""The ledger of a run of stages, ``stages.json``: what is done, how, and with which weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from musiczoo.hub.checkpoint import read_checkpoint
from musiczoo.moved import new_path
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.stages.stage import PlannedStage

FILE = "stages.json"
CHECKPOINT = "checkpoint"
_FORMAT = 1
# Of write_atomically and new_folder.
_UNNAMED = re.compile(r"\..+\.[0-9a-f]{12}\.(part|old)")


class Ledger:
    """``stages.json`` of a folder.

    Every change is written at once and atomically; only one process may change it.

    Args:
        folder: Of the plan's run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE

    def rows(self) -> dict[str, dict[str, Any]]:
        """The row of each stage, by name.

        Raises:
            MusicZooError: The file is damaged or of a newer format.
        """
        try:
            content = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise MusicZooError(
                f"The ledger cannot be read ({error}).",
                path=self.path,
                remedy="Use another folder.",
            ) from error
        if (
            not isinstance(content, dict)
            or content.get("format") != _FORMAT
            or not isinstance(content.get("stages"), list)
        ):
            raise MusicZooError(
                "This is no ledger that this version of musiczoo reads.",
                path=self.path,
                remedy="Use another folder.",
            )
        return {row["name"]: row for row in content["stages"]}

    def checkpoint(self, name: str) -> Path:
        """Where a stage's weights are handed over."""
        return self.folder / name / CHECKPOINT

    def clear(self, name: str) -> None:
        """Deletes what a killed run was about to write.

        These are files and folders that had no final name yet; they may be as large as the weights.
        """
        for path in [*self.folder.glob(".*"), *(self.folder / name).rglob(".*")]:
            if _UNNAMED.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def begin(self, stage: PlannedStage, parent: str | None) -> None:
        """Records that a stage has begun, with its configuration and the weights it starts from."""
        rows = self.rows()
        weights = None if parent is None else rows[parent]["weights"]
        row = {
            "name": stage.name,
            "state": "running",
            "config_sha256": stage.digest,
            "config": stage.config,
            "start": {"stage": parent, "weights": weights},
        }
        if rows.get(stage.name) != row:
            self._write({**rows, stage.name: row})

    def finish(self, name: str, steps: int, epochs: int) -> None:
        """Records that a stage is done and its checkpoint folder whole."""
        rows = self.rows()
        done = {
            "state": "done",
            "weights": read_checkpoint(self.checkpoint(name)).fingerprint,
            "steps": steps,
            "epochs": epochs,
        }
        self._write({**rows, name: {**rows[name], **done}})

    def forget(self, names: Iterable[str]) -> None:
        """Removes the rows of stages and deletes their results."""
        gone = set(names)
        # First the rows: after a kill, no row may stand for weights that are half deleted.
        self._write({name: row for name, row in self.rows().items() if name not in gone})
        for name in gone:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def check(
        self, stage: PlannedStage, row: Mapping[str, Any], parent: Mapping[str, Any] | None
    ) -> None:
        """Whether a stage's row, and if it is done its weights, still belong to the plan.

        Args:
            stage: Of the plan.
            row: Of this stage.
            parent: Row of the stage it starts from; None where there is none.

        Raises:
            MusicZooError: The configuration has changed, or the weights it made or started from;
                with the way out.
        """
        remedy = (
            f"Undo that, or run with restart_from={stage.name!r} (--restart-from {stage.name}):"
            " what this stage made is deleted then."
        )
        where = f"stage {stage.name}"
        changes = (
            []
            if row["config_sha256"] == stage.digest
            else differences(_with_new_paths(row["config"]), _with_new_paths(stage.config))
        )
        if changes:
            raise MusicZooError(
                f"Its configuration has changed since it began: {'; '.join(changes[:8])}.",
                where=where,
                path=self.path,
                remedy=remedy,
            )
        if parent is not None and row["start"]["weights"] != parent.get("weights"):
            raise MusicZooError(
                f"Stage {parent['name']} has made other weights since it began.",
                where=where,
                path=self.path,
                remedy=remedy,
            )
        if row["state"] != "done":
            return
        try:
            checkpoint = read_checkpoint(self.checkpoint(stage.name))
            checkpoint.check_files()
        except MusicZooError as error:
            raise MusicZooError(
                f"The weights that it made are not whole: {error.message}",
                where=where,
                path=error.path,
                remedy=remedy,
            ) from error
        if checkpoint.fingerprint != row["weights"]:
            raise MusicZooError(
                "The weights are not those that it made.",
                where=where,
                path=checkpoint.folder,
                remedy=remedy,
            )

    def _write(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        text = json.dumps(
            {"format": _FORMAT, "stages": list(rows.values())}, indent=1, ensure_ascii=False
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, f"{text}\n".encode())


def _with_new_paths(value: Any) -> Any:
    """A configuration with classes of earlier versions at their places of today."""
    if isinstance(value, Mapping):
        return {name: _with_new_paths(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_new_paths(item) for item in value]
    return new_path(value) if isinstance(value, str) else value


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """What differs between two configurations, each as ``"place: old -> new"``."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [*old, *(name for name in new if name not in old)]
        return [
            line
            for name in names
            for line in differences(
                old.get(name, "(nothing)"),
                new.get(name, "(nothing)"),
                f"{place}.{name}" if place else str(name),
            )
        ]
    return [] if old == new else [f"{place}: {old} -> {new}"]
