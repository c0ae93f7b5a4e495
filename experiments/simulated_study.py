"""The pictures of docs/studies.md: two studies with real sheets and simulated answers.

A random generator draws the answers; nobody listened. The simulated participants prefer, or rate
higher, one of two systems by as much as the papers' participants did: captions as in figure 2 of
MIDI-LLaMA (17 participants, 100 clips, 30 each), ratings as in table 5 of SMART (14 participants,
15 prompts, +1.221). The systems are invented: both have the same tunes of a built-in corpus.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from musiczoo.music import write
from musiczoo.music.corpora.names import load_corpus
from musiczoo.studies import analyse, analysis_picture, make_study, read_captions, read_pieces
from musiczoo.studies.key import Key

# Wins of MIDI-LLaMA and of the baseline among 100 clips. For fluency the paper gives only the 71
# ties; the other 29 clips are halved here.
FIGURE_2 = {
    "music understanding accuracy": (63, 25),
    "text fluency": (15, 14),
    "creativity": (47, 32),
    "musical emotion understanding": (60, 26),
    "overall preference": (58, 22),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, study in (("study_captions", captions_study), ("study_ratings", ratings_study)):
            key, answers = study(root / name, rng)
            result = analyse(key, [write_answers(key, answers, root / name / "answers")])
            title = (
                f"SIMULATED answers: {len(result.participants)} participants, {result.judgements}"
                " answers"
            )
            analysis_picture(result, options.output / f"{name}.png", title=title)
            print(
                name,
                json.dumps(result.to_json() | {"problems": len(result.problems)})[:3000],
                file=sys.stderr,
            )


def captions_study(
    root: Path, rng: random.Random
) -> tuple[Key, dict[str, dict[str, dict[str, object]]]]:
    clips = tunes(root / "clips", 100)
    rows = [
        {"item": clip, "system": system, "caption": "A tune."}
        for clip in clips
        for system in ("baseline", "model")
    ]
    (root / "captions.json").write_text(json.dumps(rows))
    material = read_captions(root / "clips", root / "captions.json")
    key = make_study(
        "captions", material, 17, root / "study", items_each=30, sound=False, seed=1
    ).key
    # The preferred system of each item; each participant follows it four times out of five.
    tendency = {}
    for aspect, (wins, losses) in FIGURE_2.items():
        outcomes = ["model"] * wins + ["baseline"] * losses + ["none"] * (100 - wins - losses)
        tendency[aspect] = dict(zip(clips, rng.sample(outcomes, 100), strict=True))
    answers: dict[str, dict[str, dict[str, object]]] = {}
    for participant, trials in key.trials.items():
        for trial in trials:
            values = {}
            for aspect in FIGURE_2:
                wanted = (
                    tendency[aspect][trial.item]
                    if rng.random() < 0.8
                    else rng.choice([*trial.systems, "none"])
                )
                values[aspect] = "none" if wanted == "none" else "AB"[trial.systems.index(wanted)]
            answers.setdefault(participant, {})[trial.id] = values
    return key, answers


def ratings_study(
    root: Path, rng: random.Random
) -> tuple[Key, dict[str, dict[str, dict[str, object]]]]:
    for system in ("base", "tuned"):
        tunes(root / system, 15)
    material = read_pieces({"base": root / "base", "tuned": root / "tuned"})
    key = make_study("rating", material, 14, root / "study", sound=False, seed=1).key
    answers: dict[str, dict[str, dict[str, object]]] = {}
    for participant, trials in key.trials.items():
        shared = rng.gauss(0, 1)
        level = 4.075 + 0.911 * shared
        gain = 1.221 + 0.867 * (0.488 * shared + (1 - 0.488**2) ** 0.5 * rng.gauss(0, 1))
        for trial in trials:
            rating = level + (gain if trial.systems[0] == "tuned" else 0) + rng.gauss(0, 2.048)
            answers.setdefault(participant, {})[trial.id] = {
                "enjoyment": min(10, max(1, round(rating)))
            }
    return key, answers


def tunes(folder: Path, count: int) -> list[str]:
    """Writes short tunes and returns their names."""
    folder.mkdir(parents=True)
    names = []
    for number, work in zip(range(count), load_corpus("aird", progress=False), strict=False):
        names.append(f"{number:03d}")
        write(work.tune, folder / f"{names[-1]}.abc")
    return names


def write_answers(key: Key, answers: dict[str, dict[str, dict[str, object]]], folder: Path) -> Path:
    """Writes the answers as the sheets export them; returns the folder."""
    folder.mkdir()
    for participant, given in answers.items():
        rows = {
            trial: {"values": values, "plays": {}, "seconds": 30, "comment": ""}
            for trial, values in given.items()
        }
        head = {
            "format": "musiczoo-study-answers",
            "version": 1,
            "study": key.study,
            "participant": participant,
            "exported": "",
        }
        (folder / f"{participant}.json").write_text(json.dumps({**head, "answers": rows}))
    return folder


if __name__ == "__main__":
    main()
