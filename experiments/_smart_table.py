"""The table of experiments/smart.py as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from musiczoo.comparison.tables import VELOCITY_NOTE, label_of
from musiczoo.metrics.midi_features import FEATURE_NAMES

KINDS = ("procedural", "corpus")
_COLUMNS = (
    "setting",
    "seeds",
    "steps",
    "first rate",
    "beta",
    "reward",
    "rise in standard deviations of the base (each seed)",
    "KL, nats a token (each seed)",
    "distance, piano roll",
    "distinct 4-grams",
    "ended by itself",
    "without notes",
)
_PICTURES = {
    "smart_curves.png": "Reward and divergence by step",
    "smart_features.png": "The eight features before and after, short setting, first seed",
    "smart_rewards.png": "The ratings before and after, first seed",
    "smart_rolls.png": "Mean piano rolls of the first sixteen beats, first seed",
}
_CORPUS_PICTURE = {
    "smart_corpus_features.png": (
        "The eight features before and after, prompts of real pieces, first seed"
    )
}


def markdown(document: Mapping[str, Any]) -> str:
    """The whole page: settings, figures, features, pictures."""
    settings, rows = document["settings"], document["rows"]
    lines = [
        "# SMART in small",
        "",
        (
            "`python -m experiments.smart`: the shipped decoder `phi3-remi` tuned by the shipped"
            f" audio scorer `MelAesthetics`, {settings['groups']} x {settings['group_size']}"
            f" completions of {settings['tokens']} tokens a step, AdamW with a rate that falls"
            f" linearly to 0, on {document['machine']}. Measured on {settings['pieces']} prompts"
            " that nothing was tuned on, the same for every model, full softmax at temperature 1."
            " Processor time is shared by two runs at a time."
        ),
        "",
        *_figures_table(document),
        "",
        "Features, means over completions with notes (seeds together):",
        "",
        *_features_table(document),
        "",
        (
            f"{VELOCITY_NOTE} Polyphony is more than two pitches at a time, as MusPy and SMART"
            " count it."
        ),
        "",
    ]
    has_corpus = any(row["setting"] == "corpus" for row in rows)
    for path, title in (_PICTURES | (_CORPUS_PICTURE if has_corpus else {})).items():
        lines += [f"![{title}]({path})", ""]
    return "\n".join(lines)


def _figures_table(document: Mapping[str, Any]) -> list[str]:
    """A row for the base with each kind of prompts, and one for each setting."""
    lines = [_line(_COLUMNS), "|---" * len(_COLUMNS) + "|"]
    for kind in KINDS:
        base = document["base"][kind]
        reward = f"{base['reward']:.3f} (sd {base['reward_sd']:.3f})"
        cells = [f"base, {kind} prompts", "", "", "", "", reward, "", ""]
        diversity = [f"{base['diversity'][name]:.3f}" for name in ("piano_roll", "distinct_4")]
        cells += [*diversity, f"{base['ended']:.1%}", str(base["without_notes"])]
        lines.append(_line(cells))
    return lines + [_line(_cells(row, document)) for row in document["rows"]]


def _cells(row: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """One setting: the means of its seeds, and each seed's rise and divergence."""
    settings, seeds = document["settings"], row["seeds"]
    beta = 0.0 if row["setting"] == "long-free" else settings["beta"]
    rate = settings["long_rate" if row["setting"].startswith("long") else "rate"]
    rises = ", ".join(f"{rise:+.2f}" for rise in row["rise_in_sd"])
    divergences = ", ".join(f"{seed['kl']:.3f}" for seed in seeds)
    return [
        row["setting"],
        ", ".join(map(str, row["seed_numbers"])),
        str(row["steps"]),
        f"{rate:g}",
        f"{beta:g}",
        f"{_mean(seed['reward'] for seed in seeds):.3f}",
        f"**{row['rise_in_sd_mean']:+.2f}** ({rises})",
        f"{row['kl_mean']:.3f} ({divergences})",
        f"{_mean(seed['diversity']['piano_roll'] for seed in seeds):.3f}",
        f"{_mean(seed['diversity']['distinct_4'] for seed in seeds):.3f}",
        f"{_mean(seed['ended'] for seed in seeds):.1%}",
        f"{_mean(seed['without_notes'] for seed in seeds):.1f}",
    ]


def _features_table(document: Mapping[str, Any]) -> list[str]:
    """The means of the eight features, a row for each base and setting."""
    means: dict[str, list[float]] = {
        f"base, {kind} prompts": [
            document["base"][kind]["features"][name] for name in FEATURE_NAMES
        ]
        for kind in KINDS
    }
    for row in document["rows"]:
        means[row["setting"]] = [
            _mean(seed["features"][name] for seed in row["seeds"]) for name in FEATURE_NAMES
        ]
    return [
        _line(["setting", *(label_of(name) for name in FEATURE_NAMES)]),
        "|---" * (len(FEATURE_NAMES) + 1) + "|",
        *(_line([name, *(f"{value:.3f}" for value in means[name])]) for name in means),
    ]


def _line(cells: Iterable[str]) -> str:
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def _mean(values: Iterable[float]) -> float:
    return statistics.mean(values)
