"""The command ``musiczoo stages``: runs a plan of several stages, or continues it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from musiczoo.configs.recipes import plan_file, plans


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo stages",
        description=(
            "Runs the stages of a plan one after the other. A run that was stopped or killed is"
            " continued where it was: give the same command again. Plans that come with musiczoo:"
            f" {', '.join(plans())}."
        ),
    )
    parser.add_argument("plan", help="a YAML file, or a plan that comes with musiczoo")
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="of the run: stages.json and a folder for each stage",
    )
    parser.add_argument(
        "--restart-from",
        metavar="STAGE",
        help=(
            "forget this stage and those that build on it, delete their results, and run them again"
        ),
    )
    parser.add_argument(
        "--check", action="store_true", help="check the plan, and show what is done; run nothing"
    )
    return parser


def run(words: Sequence[str]) -> dict[str, Path]:
    """Runs a plan.

    Args:
        words: The options.

    Returns:
        The checkpoint folder of each stage.

    Raises:
        MusicZooError: See :func:`musiczoo.run_stages`.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    plan = plan_file(options.plan)
    from musiczoo.stages.ledger import Ledger
    from musiczoo.stages.run import check_rows, open_plan, run_stages

    if options.check:
        stages, parents = open_plan(plan)
        ledger = Ledger(options.folder)
        rows = ledger.rows()
        check_rows(ledger, rows, stages, parents)
        for stage in stages:
            row = rows.get(stage.name, {})
            state = (
                f"done after {row['steps']:,} steps"
                if row.get("state") == "done"
                else row.get("state", "to come")
            )
            sys.stdout.write(
                f"{stage.name}: from {parents[stage.name] or stage.start or 'new weights'};"
                f" {state}\n"
            )
        return {stage.name: ledger.checkpoint(stage.name) for stage in stages}
    made = run_stages(plan, options.folder, restart_from=options.restart_from)
    for name, folder in made.items():
        sys.stdout.write(f"{name}: {folder}\n")
    return made
