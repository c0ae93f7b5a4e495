"""Settings of MidiTok's REMI tokenizer: SMART's, those of a file, and the tokenizer of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musiczoo.music.errors import MusicZooError

#: The 413 tokens of SMART's base model (Jonason, Casini and Sturm 2025, arXiv 2504.16839), as its
#: repository's history lists them.
SMART: dict[str, Any] = {
    "pitch_range": [21, 108],
    "beat_res": {"0_4": 12},
    "num_velocities": 32,
    "special_tokens": [
        "PAD",
        "BOS",
        "EOS",
        "PRE",
        "SUF",
        *(f"INF{number}" for number in range(1, 17)),
    ],
    "use_tempos": True,
    "num_tempos": 64,
    "tempo_range": [40, 250],
    "use_time_signatures": True,
    "time_signature_range": {"8": [3, 5, 6, 7, 9, 10, 11, 12], "4": [2, 3, 4, 5, 6], "2": [2, 3]},
    "use_pitchdrum_tokens": False,
    "use_programs": False,
    "use_rests": False,
    "use_chords": False,
}
# Before this version of MidiTok the upper end of a pitch range was excluded.
_INCLUSIVE_SINCE = (3, 0, 6)


def tokenizer(config: Mapping[str, Any]) -> Any:
    """MidiTok's REMI tokenizer with plain JSON settings.

    Raises:
        MusicZooError: Settings that MidiTok does not know.
    """
    from miditok import REMI, TokenizerConfig

    settings = {**config, **config.get("additional_params", {})}
    # Files of MidiTok hold these, but they are not settings.
    for name in ("additional_params", "miditok_version"):
        settings.pop(name, None)
    # JSON has no tuples, and its keys are strings.
    for name in ("pitch_range", "tempo_range", "drums_pitch_range", "pitch_bend_range"):
        if name in settings:
            settings[name] = tuple(settings[name])
    for name in ("beat_res", "beat_res_rest"):
        if name in settings:
            settings[name] = {
                tuple(map(int, key.split("_"))): value for key, value in settings[name].items()
            }
    if "time_signature_range" in settings:
        settings["time_signature_range"] = {
            int(below): list(above) for below, above in settings["time_signature_range"].items()
        }
    try:
        return REMI(TokenizerConfig(**settings))
    except (TypeError, ValueError, KeyError, AssertionError) as error:
        raise MusicZooError(
            f"MidiTok does not accept these settings: {error}",
            remedy="See miditok.TokenizerConfig.",
        ) from error


def short_name(token: str) -> str:
    """The name of a token; special ones without MidiTok's empty value.

    >>> short_name("PAD_None"), short_name("Bar_None"), short_name("Pitch_60")
    ('PAD', 'Bar_None', 'Pitch_60')
    """
    name, _, value = token.partition("_")
    return name if value == "None" and name != "Bar" else token


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings in a ``tokenizer.json`` that MidiTok saved; only JSON is read.

    A file of a MidiTok before 3.0.6 gives the pitch range with its upper end excluded, and no
    vocabulary: read as it is now, it would have one more pitch, and every later id would be off by
    one.

    Raises:
        MusicZooError: No such file, one of another tokenizer, or one whose ids were merged by
            training (BPE and others).
    """
    path = Path(path)
    if path.is_dir():
        path = path / "tokenizer.json"
    try:
        content = json.loads(path.read_text("utf-8"))
        config = dict(content["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MusicZooError(
            f"The tokenizer cannot be read: {error}",
            path=path,
            remedy="Give a file that MidiTok saved.",
        ) from error
    if content.get("tokenization") != "REMI":
        raise MusicZooError(
            f"The tokenizer is {content.get('tokenization')}, not REMI.",
            path=path,
            remedy="Give one of REMI.",
        )
    if "_model" in content:
        raise MusicZooError(
            "The tokenizer has merged tokens (BPE or similar).",
            path=path,
            remedy="Give one that was not trained.",
        )
    if _version(content.get("miditok_version")) < _INCLUSIVE_SINCE:
        config["pitch_range"] = [config["pitch_range"][0], config["pitch_range"][1] - 1]
        if "drums_pitch_range" in config:
            config["drums_pitch_range"] = [
                config["drums_pitch_range"][0],
                config["drums_pitch_range"][1] - 1,
            ]
    return config


def _version(text: object) -> tuple[int, ...]:
    parts = str(text or "0").split(".")
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in parts[:3])
