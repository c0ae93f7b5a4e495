"""Continues a score that somebody else began, in its voices and under its header.

The model sees the opening as it sees music in training: cleaned, voices numbered, with bar
counters. The very first counter states how long the piece becomes, so that the model chooses
the length before it reads the opening, within the limits that are asked for; the counters then run
down from there. What comes back is the score as it was given, title and all, with the new bars
behind its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from musiczoo.models.bar_stream.guards import LONGEST_PIECE, BarDurations, Countdown, Guard, Guards
from musiczoo.models.bar_stream.net import BarStreamNet
from musiczoo.models.bar_stream.opening import Opening
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.sampling import Sampling, distribution, draw
from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.bar_stream import BarStreamPatches

if TYPE_CHECKING:
    from musiczoo.models.bar_stream.opening import Score

DEFAULT_MAX_BARS = 1000
ALIGNED: Guard = BarDurations()
"""The default guard of :meth:`BarStreamModule.continue_pieces`."""

_FIRST_COUNTER = "[r:0/"


@dataclass(frozen=True)
class Continued:
    """A score with its continuation.

    Attributes:
        piece: The whole piece: header and opening as given (the bar-line at the seam apart), then
            the new bars. None when what the model wrote cannot be read (see ``error``).
        opening_bars: Bars of the opening.
        planned_bars: Bars of the whole piece as the counters announce it.
        generated: What the model was shown and what it wrote.
        error: Why there is no ``piece``.
    """

    piece: Tune | None
    opening_bars: int
    planned_bars: int
    generated: Generated
    error: MusicZooError | None = None


@dataclass(frozen=True)
class Limits:
    """How long whole pieces may become, openings included.

    Attributes:
        min_bars: Bars at least; None for one more than the opening.
        max_bars: Bars at most; None for :data:`DEFAULT_MAX_BARS`.
    """

    min_bars: int | None = None
    max_bars: int | None = None

    def of(self, opening: Opening) -> tuple[int, int]:
        """Bars at least and at most that the piece of an opening may have.

        Raises:
            MusicZooError: The limits leave no room for a bar.
        """
        low = max(opening.bars + 1, self.min_bars or 0)
        high = max(low, DEFAULT_MAX_BARS) if self.max_bars is None else self.max_bars
        if not low <= high <= LONGEST_PIECE:
            raise MusicZooError(
                f"An opening of {opening.bars} bars cannot become a piece of"
                f" {self.min_bars or opening.bars + 1} to {high} bars.",
                path=opening.tune.path,
                remedy=(
                    "The limits count the whole piece: raise max_bars, or keep fewer bars of the"
                    " opening."
                ),
            )
        return low, high


def continue_pieces(
    module: GenerativeModule,
    scores: Sequence[Score],
    bars: int | None = None,
    labels: Labels | None = None,
    sampling: Sampling | None = None,
    max_length: int | None = None,
    generator: torch.Generator | None = None,
    *,
    limits: Limits = Limits(),
    guard: Guard | None = ALIGNED,
    **options: Any,
) -> list[Continued]:
    """See :meth:`BarStreamModule.continue_pieces`."""
    sampling = sampling or module.sampling
    net: Any = module.net
    representation: BarStreamPatches = module.representation
    openings = [Opening.of(score, bars, labels, representation) for score in scores]
    lengths = [limits.of(opening) for opening in openings]
    with evaluating(net):
        totals = [
            choose_total(net, representation, opening.header, limit, sampling, generator)
            for opening, limit in zip(openings, lengths, strict=True)
        ]
    prompts = [
        opening.prompt(total, representation, net.config.patch_length)
        for opening, total in zip(openings, totals, strict=True)
    ]
    # The counters of the opening state how many bars are to come, and the countdown holds the model
    # to it.
    guards = Guards([Countdown(), *([] if guard is None else [guard])])
    results = module.generate(prompts, sampling, max_length, generator, guard=guards, **options)
    continued = []
    for opening, total, prompt, result in zip(openings, totals, prompts, results, strict=True):
        piece, error = None, None
        try:
            piece = opening.joined(result.text[len(prompt) :])
        except MusicZooError as reason:
            error = reason
        continued.append(Continued(piece, opening.bars, total, result, error))
    return continued


def choose_total(
    net: BarStreamNet,
    representation: BarStreamPatches,
    header: Sequence[str],
    limits: tuple[int, int],
    sampling: Sampling,
    generator: torch.Generator | None,
) -> int:
    """The number of bars that the model gives a piece under this header, drawn like a character.

    Args:
        net: The model, in eval mode.
        representation: Its representation.
        header: Header lines.
        limits: Bars at least and at most.
        sampling: How characters are drawn.
        generator: Source of randomness.
    """
    text = "".join(f"{line}\n" for line in header)
    patches = representation.encode_text(text, annotate=False, end=False)
    device = net.char_level_decoder.transformer.wte.weight.device
    guard = Countdown(*limits).for_piece(text)
    text_so_far = _FIRST_COUNTER
    with torch.inference_mode():
        condition = net.patch_hidden(
            patches.unsqueeze(0).to(device), torch.tensor([len(patches)], device=device)
        )[-1:]
        while not text_so_far.endswith("]"):
            # The last character stands for the one that is asked for; any would do.
            target = torch.tensor(
                [[ord(character) for character in f"{text_so_far}]"]], device=device
            )
            logits, _ = net.char_level_decoder(condition, target)
            mask = guard.mask(text_so_far)
            assert mask is not None
            odds = distribution(logits[-1:].cpu(), sampling, torch.from_numpy(mask.copy()))
            text_so_far += chr(
                int(draw(odds, torch.rand(1, generator=generator, dtype=torch.float64)))
            )
    return int(text_so_far[len(_FIRST_COUNTER) : -1]) + 1
