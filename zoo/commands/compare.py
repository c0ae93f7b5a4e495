"""The command ``musiczoo compare``: models on the same prompts, in figures and examples."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiczoo.comparison.models import labelled, performing_model, shared_representation
from musiczoo.comparison.report import show_comparison, write_comparison
from musiczoo.comparison.soundfonts import reference_rows
from musiczoo.compose import device_of
from musiczoo.hub.opening import MODEL_HELP
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.sampling import Sampling
from musiczoo.music.atomic import make_folder
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.audio import named_soundfont
from musiczoo.rewards.audio import listeners
from musiczoo.rewards.base import Reward
from musiczoo.rewards.by_name import named_reward

if TYPE_CHECKING:
    from musiczoo.comparison.evaluation import Evaluation
    from musiczoo.datamodules.midi import MidiDataModule

# As the paper samples (section 3.5): temperature 1, the whole distribution; the same for all, even
# where a checkpoint recommends other settings.
_FULL = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)
_VARIANTS = ("note", "bare", "nothing", "corpus")
# The options that report.json holds.
_SETTINGS = (
    "prompts",
    "variant",
    "corpus",
    "max_new_tokens",
    "temperature",
    "seed",
    "reward",
    "soundfont",
    "real_pieces",
)


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo compare",
        description=(
            "Compares models on the same prompts: the eight features of SMART, a reward, mean piano"
            " rolls, diversity, and the divergence from the first model. Writes report.json,"
            " report.md, pictures, MIDI and evaluations."
        ),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help=f"REMI models, the one before tuning first: {MODEL_HELP}; or LABEL=MODEL",
    )
    _prompt_options(parser.add_argument_group("prompts"))
    _reward_options(parser.add_argument_group("reward"))
    _output_options(parser.add_argument_group("output"))
    return parser


def _prompt_options(prompts: argparse._ArgumentGroup) -> None:
    prompts.add_argument(
        "--prompts",
        type=int,
        default=1000,
        metavar="N",
        help="how many; each model completes each once",
    )
    prompts.add_argument(
        "--variant",
        choices=_VARIANTS,
        default="note",
        help=(
            "random bar, meter, tempo and note; bare: without the note; nothing: none; corpus:"
            " meter and tempo of real pieces"
        ),
    )
    prompts.add_argument(
        "--corpus",
        default="bach-chorales",
        metavar="NAME",
        help=(
            "folder or corpus whose test split gives the prompts of the variant corpus, and the"
            " real pieces to play on each soundfont"
        ),
    )
    prompts.add_argument(
        "--max-new-tokens",
        type=int,
        default=256,
        metavar="N",
        help="tokens of a completion at most",
    )
    prompts.add_argument(
        "--temperature", type=float, default=1.0, help="of the sampling; nothing is cut off"
    )
    prompts.add_argument("--batch-size", type=int, default=64, help="completions at once")
    prompts.add_argument(
        "--seed", type=int, default=0, help="of prompts and sampling; the same for all models"
    )
    prompts.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")


def _reward_options(reward: argparse._ArgumentGroup) -> None:
    reward.add_argument(
        "--reward",
        default="mel",
        metavar="NAME",
        help=(
            "mel[:WEIGHTS], audiobox[:WEIGHTS], features (scale consistency less empty beats),"
            " MODULE:NAME of your own, or none"
        ),
    )
    reward.add_argument(
        "--reward-timeout",
        type=float,
        metavar="SECONDS",
        help="for 64 completions; later ones have no reward",
    )
    reward.add_argument(
        "--soundfont",
        action="append",
        metavar="NAME",
        help=(
            "file, or name of an installed one; completions are played on the first, the table of"
            " soundfonts has all"
        ),
    )
    reward.add_argument(
        "--real-pieces",
        type=int,
        default=10,
        metavar="N",
        help="real pieces that are played on each soundfont",
    )


def _output_options(output: argparse._ArgumentGroup) -> None:
    output.add_argument(
        "--output",
        type=Path,
        default=Path("comparison"),
        metavar="FOLDER",
        help="made if it does not exist",
    )
    output.add_argument(
        "--examples",
        type=int,
        default=5,
        metavar="N",
        help="completions of each model that are written as MIDI",
    )
    output.add_argument("--json", action="store_true", help="print report.json on standard output")
    output.add_argument("--quiet", action="store_true", help="no progress bars")
    output.add_argument(
        "--cache", metavar="FOLDER", help="instead of MUSICZOO_CACHE or the user's cache folder"
    )


def run(words: Sequence[str]) -> dict[str, Any]:
    """Compares models.

    Args:
        words: The options.

    Returns:
        The content of ``report.json``.

    Raises:
        MusicZooError: A model, reward, soundfont, corpus or option cannot be used. Completions that
            the reward fails on are counted.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    _check(options)
    # What the options name is looked up before the work begins, the quickest first.
    soundfonts = [str(named_soundfont(name)) for name in options.soundfont or ()]
    device = device_of(options.device)
    with ExitStack() as stack:
        reward = (
            None
            if options.reward == "none"
            else named_reward(options.reward, stack, soundfonts[0] if soundfonts else None, device)
        )
        names = labelled(options.models)
        models = {label: performing_model(name).to(device) for label, name in names.items()}
        representation = shared_representation(models)
        data = _data(options, representation, reward)
        prompts = _prompts(options, representation, data)
        make_folder(options.output)
        evaluations = _evaluations(options, models, prompts, reward)
        rows = _sound_rows(options, reward, data, representation)
    about = {
        "models": names,
        "settings": {name: getattr(options, name) for name in _SETTINGS},
    }
    document = write_comparison(
        options.output, evaluations, rows, about=about, examples=options.examples
    )
    show_comparison(document, options.output, as_json=options.json)
    return document


def _check(options: argparse.Namespace) -> None:
    for name, least in (
        ("prompts", 2),
        ("max_new_tokens", 1),
        ("batch_size", 1),
        ("real_pieces", 1),
        ("examples", 0),
    ):
        if getattr(options, name) < least:
            raise MusicZooError(
                f"{getattr(options, name)} is too few.",
                where=f"--{name.replace('_', '-')}",
                remedy=f"Give {least} or more.",
            )
    if not options.temperature > 0:
        raise MusicZooError(
            "At this temperature nothing is drawn.",
            where="--temperature",
            remedy="Give one above 0.",
        )


def _data(
    options: argparse.Namespace, representation: Any, reward: Reward | None
) -> MidiDataModule | None:
    """The real pieces, where some are needed."""
    if options.variant != "corpus" and not listeners(reward):
        return None
    from musiczoo.datamodules.midi import MidiDataModule
    from musiczoo.music.corpora.names import corpus_names
    from musiczoo.music.midi.piano_stream import PIANO

    if (
        options.corpus not in corpus_names(cache=options.cache)
        and not Path(options.corpus).exists()
    ):
        raise MusicZooError(
            "There is no such corpus.",
            path=options.corpus,
            where="--corpus",
            remedy="Give a folder of music, or a name.",
        )
    programs = PIANO if getattr(representation, "one_stream", False) else None
    return MidiDataModule(
        options.corpus,
        representation,
        programs=programs,
        cache=options.cache,
        progress=not options.quiet,
    )


def _prompts(
    options: argparse.Namespace, representation: Any, data: MidiDataModule | None
) -> list[Any]:
    from musiczoo.callbacks.prompts.remi import CorpusPrompts, ProceduralPrompts

    source: Any
    if options.variant == "corpus":
        assert data is not None
        source = CorpusPrompts(data, "test")
    else:
        source = ProceduralPrompts(options.variant, representation)
    prompts: list[Any] = source.draw(options.prompts, random.Random(options.seed))
    return prompts


def _evaluations(
    options: argparse.Namespace,
    models: dict[str, GenerativeModule],
    prompts: Sequence[Any],
    reward: Reward | None,
) -> list[Evaluation]:
    from musiczoo.comparison.evaluate import evaluate

    base = next(iter(models.values()))
    return [
        evaluate(
            model,
            prompts,
            name=label,
            reward=reward,
            reference=None if model is base else base,
            max_new_tokens=options.max_new_tokens,
            sampling=replace(_FULL, temperature=options.temperature),
            seed=options.seed,
            batch_size=options.batch_size,
            reward_timeout=options.reward_timeout,
            progress=not options.quiet,
        )
        for label, model in models.items()
    ]


def _sound_rows(
    options: argparse.Namespace,
    reward: Reward | None,
    data: MidiDataModule | None,
    representation: Any,
) -> list[dict[str, Any]]:
    if reward is None or data is None or not listeners(reward):
        return []
    indices = data.splits.test or range(len(data.pieces))
    drawn = random.Random(options.seed).sample(
        list(indices), min(options.real_pieces, len(indices))
    )
    pieces = [representation.decode(data.tokens(index)) for index in drawn]
    # By the names that the user gave: a report must not show where files of a machine are.
    sounds = options.soundfont or [str(named_soundfont(None))]
    return reference_rows(reward, pieces, sounds, seed=options.seed, timeout=options.reward_timeout)
