"""New pieces and continuations of scores, for the command line and other front doors alike.

:func:`open_composer` opens a model, :func:`generate` and :func:`continue_score` give pieces,
:func:`write_pieces` writes them to files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from musiczoo.hub.opening import open_model
from musiczoo.metrics.bar_alignment import bar_alignment
from musiczoo.models.base.capabilities import Continues, TakesLabels
from musiczoo.models.base.generative import Generated, GenerativeModule, OnProgress
from musiczoo.models.prompts import Prompt, completed_labels
from musiczoo.models.sampling import Sampling
from musiczoo.music import write
from musiczoo.music.abc import Tune
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.bar_stream import prompt_lines

if TYPE_CHECKING:
    from symusic.core import ScoreTick

FORMATS = ("abc", "musicxml", "mxl", "mid", "svg", "png", "wav")
DEFAULT_FORMATS = {"notation": ("abc", "musicxml", "mid"), "performance": ("mid",)}
"""The formats of a model's pieces, by what it writes, unless a user chooses others."""


@dataclass(frozen=True, kw_only=True)
class ComposeSettings:
    """What a user asks for.

    Attributes:
        count: Pieces.
        seed: The same seed gives the same pieces.
        sampling: Settings of :class:`Sampling` by name; the model has defaults.
        max_length: Longest piece in the model's ``length_unit``; None lets the model decide.
        batch_size: Pieces at once.
        align: The voices of every bar have one length.
        meter: Every bar is as long as the meter states as well.
        min_bars: Bars of a piece at least.
        max_bars: Bars of a piece at most.
        labels: Labels by name (period, composer, instrumentation), all or some.
        new_labels: Allow labels that the model was not trained with.
    """

    count: int = 1
    seed: int = 0
    sampling: Mapping[str, float] = field(default_factory=dict)
    max_length: int | None = None
    batch_size: int = 16
    align: bool = False
    meter: bool = False
    min_bars: int | None = None
    max_bars: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    new_labels: bool = False


@dataclass(frozen=True)
class Draft:
    """A piece to be written to files.

    Attributes:
        piece: The piece, None when it cannot be read.
        generated: What the model generated.
        error: Why there is no piece; None of models that write text.
        facts: More about it, as JSON values.
        unit: What the lengths of the model's pieces count, such as ``"patch"``.
    """

    piece: Tune | ScoreTick | None
    generated: Generated
    error: MusicZooError | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "token"


@dataclass(frozen=True)
class Written:
    """Pieces as files.

    Attributes:
        files: Those of readable pieces.
        records: For each piece its files, figures and problems, as JSON values.
        problems: What could not be written, and pieces that were cut off, a sentence each.
    """

    files: list[Path]
    records: list[dict[str, Any]]
    problems: list[str]


def open_composer(name: str, device: str = "auto") -> GenerativeModule:
    """A model that generates, on its device and in eval mode.

    Args:
        name: As :func:`musiczoo.hub.opening.open_model` takes it.
        device: As :func:`device_of` takes it.

    Raises:
        MusicZooError: There is no such model, it cannot be opened, it does not generate, or the
            device cannot be used.
    """
    model = open_model(name)
    if not isinstance(model, GenerativeModule):
        raise MusicZooError(
            f"{name} is a model that does not generate music.",
            remedy="musiczoo list shows what each model writes.",
        )
    return model.to(device_of(device)).eval()


def device_of(name: str) -> torch.device:
    """The device of a name; ``"auto"`` is a GPU where there is one.

    Raises:
        MusicZooError: It cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MusicZooError(
            f"The device cannot be used ({str(error).splitlines()[0]}).", where="--device"
        ) from None
    return device


def prompts_of(model: GenerativeModule) -> tuple[Prompt, ...]:
    """The labels that a model was trained with, the most frequent first; empty if not known.

    Raises:
        MusicZooError: The model takes no labels.
    """
    if not isinstance(model, TakesLabels):
        raise MusicZooError(
            f"A {model.architecture} model takes no labels.",
            remedy=f"Its prompts are {', '.join(model.prompt_kinds)}.",
        )
    return tuple(sorted(model.prompts, key=lambda prompt: -prompt.count))


def sampling_of(model: GenerativeModule, settings: ComposeSettings) -> Sampling:
    """How tokens are drawn: by the settings, and where these are silent by the model's own.

    Raises:
        MusicZooError: A setting out of range, or a count or batch of no piece.
    """
    for name in ("count", "batch_size"):
        if getattr(settings, name) < 1:
            raise MusicZooError(
                f"{getattr(settings, name)} is too few.",
                where=f"--{name.replace('_', '-')}",
                remedy="Give 1 or more.",
            )
    return replace(model.sampling, **settings.sampling)  # type: ignore[arg-type]


def labels_of(model: GenerativeModule, settings: ComposeSettings) -> Labels | None:
    """The labels, completed and checked; None where none are given.

    Raises:
        MusicZooError: The model takes no labels, or :func:`completed_labels` refuses these.
    """
    if not settings.labels:
        return None
    return completed_labels(settings.labels, prompts_of(model), settings.new_labels)


def check(model: GenerativeModule, settings: ComposeSettings, *, score: bool = False) -> None:
    """Raises :class:`MusicZooError` for settings that :func:`generate` would refuse.

    Or with ``score`` :func:`continue_score`, which checks the limits of bars with the score.
    """
    if score and not isinstance(model, Continues):
        raise MusicZooError(
            f"A {model.architecture} model does not continue scores.",
            remedy="musiczoo list NAME shows what a model can do.",
        )
    _guard(model, replace(settings, min_bars=None, max_bars=None) if score else settings)
    sampling_of(model, settings)
    labels_of(model, settings)


def generate(
    model: GenerativeModule,
    settings: ComposeSettings,
    text: str = "",
    *,
    on_progress: OnProgress | None = None,
    progress: bool = False,
) -> list[Draft]:
    """Generates new pieces.

    Args:
        model: Of :func:`open_composer`.
        settings: What is asked for.
        text: A prompt in the model's own text form, to continue; labels are put before it.
        on_progress: See :meth:`GenerativeModule.generate`.
        progress: Show a progress bar.

    Raises:
        MusicZooError: A setting or the prompt cannot be used.
    """
    guard, sampling = _guard(model, settings), sampling_of(model, settings)
    if labels := labels_of(model, settings):
        lines = prompt_lines(labels.period, labels.composer, labels.instrumentation)
        text = "\n".join([*lines, text])
    results = model.generate(
        [text] * settings.count,
        sampling,
        settings.max_length,
        torch.Generator().manual_seed(settings.seed),
        batch_size=settings.batch_size,
        guard=guard,
        on_progress=on_progress,
        progress=progress,
    )
    return [Draft(one.piece, one, one.error, unit=model.length_unit) for one in results]


def continue_score(
    model: GenerativeModule,
    score: Tune | ScoreTick,
    settings: ComposeSettings,
    bars: int | None = None,
    *,
    on_progress: OnProgress | None = None,
    progress: bool = False,
) -> list[Draft]:
    """Continues a score, once or several times.

    Args:
        model: Of :func:`open_composer`.
        score: The score.
        settings: What is asked for; limits of bars count those of the score.
        bars: Keep this number of bars; None keeps all.
        on_progress: See :meth:`GenerativeModule.generate`.
        progress: Show a progress bar.

    Raises:
        MusicZooError: The model does not continue scores, or the score or a setting cannot be used.
    """
    check(model, settings, score=True)
    continuing: Any = model
    labels = labels_of(model, settings)
    own = {} if labels is None else {"labels": labels, "new_labels": settings.new_labels}
    results = continuing.continue_pieces(
        [score] * settings.count,
        bars,
        sampling=sampling_of(model, settings),
        max_length=settings.max_length,
        generator=torch.Generator().manual_seed(settings.seed),
        min_bars=settings.min_bars,
        max_bars=settings.max_bars,
        guard=_guard(model, replace(settings, min_bars=None, max_bars=None)),
        batch_size=settings.batch_size,
        on_progress=on_progress,
        progress=progress,
        **own,
    )
    drafts = []
    for one in results:
        facts = {"opening_bars": one.opening_bars, "planned_bars": one.planned_bars}
        drafts.append(Draft(one.piece, one.generated, one.error, facts, model.length_unit))
    return drafts


def write_pieces(drafts: Sequence[Draft], base: str | Path, formats: Sequence[str]) -> Written:
    """Writes pieces to files; text that is no piece to ``BASE-1.txt``.

    Args:
        drafts: The pieces.
        base: Files are named after it, ``BASE-1.abc``, ``BASE-2.abc`` ...; its folder exists.
        formats: Of :data:`FORMATS`. One that cannot be made (sound without a soundfont) is left out
            and listed among the problems.
    """
    written = Written([], [], [])
    for number, draft in enumerate(drafts, 1):
        path = Path(f"{base}-{number}")
        problems: list[str] = []
        files: list[Path] = []
        if draft.error is not None:
            problems.append(f"{path}.txt is no readable piece: {draft.error}")
        if draft.piece is None:
            # Kept for the user to read, under a suffix that promises no notation.
            text = draft.generated.text.encode()
            files.append(write_atomically(path.with_name(f"{path.name}.txt"), text))
        for suffix in formats:
            try:
                if draft.piece is not None:
                    files.append(write(draft.piece, path.with_name(f"{path.name}.{suffix}")))
            except MusicZooError as error:
                problems.append(f"{path}.{suffix} is not written: {error}")
        if draft.error is None:
            written.files.extend(files)
        if draft.generated.stop != "end":
            length = f"{len(draft.generated.tokens)} {_plural(draft.unit)}"
            problems.append(f"{path} was cut off at {length}, before its end.")
        names = [str(file) for file in files]
        written.records.append({"files": names, **figures_of(draft), "problems": problems})
        written.problems.extend(problems)
    return written


def figures_of(draft: Draft) -> dict[str, Any]:
    """What is known of a piece, as JSON values; bits are those of the full softmax."""
    generated = draft.generated
    sampled = generated.log_probs[generated.scored]
    bits = round(-float(sampled.mean()) / math.log(2), 4) if len(sampled) else None
    lengths = {
        _plural(draft.unit): len(generated.tokens),
        # A patch is a row of characters, which are what is sampled.
        f"bits_per_{'character' if draft.unit == 'patch' else draft.unit}": bits,
    }
    figures: dict[str, Any] = {"readable": draft.piece is not None, "stop": generated.stop}
    if draft.piece is not None and not isinstance(draft.piece, Tune):
        return {**figures, **draft.facts, "notes": draft.piece.note_num(), **lengths}
    figures |= {**lengths, **draft.facts}
    if isinstance(draft.piece, Tune):
        voices = draft.piece.voices
        figures["voices"] = len(voices)
        figures["bars"] = max((len(voice.bars) for voice in voices), default=0)
        figures["misaligned_bars"] = len(bar_alignment(draft.piece).misaligned)
    return figures


def _guard(model: GenerativeModule, settings: ComposeSettings) -> Any:
    return model.guard_for(
        align=settings.align,
        meter=settings.meter,
        min_bars=settings.min_bars,
        max_bars=settings.max_bars,
    )


def _plural(unit: str) -> str:
    return f"{unit}es" if unit.endswith("ch") else f"{unit}s"
