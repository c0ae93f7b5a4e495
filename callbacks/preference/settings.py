"""The settings of preference rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from musiczoo.callbacks.preference.selection import check_fraction
from musiczoo.callbacks.run_folder import plain_text
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards.admission import AdmissionRule, Aligned, GroupedStaves, NoCopies

# These decide nothing beyond what a plan records of them: the prompts themselves, and the rules.
_NOT_IN_PLANS = ("prompt_count", "rules")


@dataclass(frozen=True)
class RoundSettings:
    """The settings of all rounds of a fit.

    Args:
        samples: Pieces a prompt and round ("some 100" of NotaGen's published code).
        fraction: Part of a prompt's pieces that is chosen, and that is rejected.
        aligned: Choose only pieces whose voices agree in bars, bar-lines and lengths.
        grouped_staves: Choose only pieces in which the staves of one instrument stand together.
        plagiarism: Choose only pieces whose largest similarity with a real work is at most this.
            ``"calibrated"`` uses the similarity that 99 % of different real works stay below; None
            leaves the rule out; 0.95 is NotaGen's, for CLaMP 2. It needs a reward that gives the
            similarity.
        sampling: How tokens are drawn; None leaves it to the module.
        max_length: Longest piece, in the units of the module's ``generate``; None leaves it to the
            module.
        generation: Further options of the module's ``generate``, such as ``{"batch_size": 32}``.
        crops: Crops of a piece that is longer than the context; a pair compares two of them, drawn
            for each pair.
        chunk: Pieces that are kept together: what a killed run loses at most.
        seed: Of sampling, crops and pairs.
        prompt_count: Prompts that each round draws from the source; None uses all prompts of a
            source that lists them.
        rules: Further rules that a chosen piece must meet.

    Raises:
        MusicZooError: A number out of range.
    """

    samples: int = 100
    fraction: float = 0.1
    aligned: bool = True
    grouped_staves: bool = True
    plagiarism: float | str | None = "calibrated"
    sampling: Sampling | None = None
    max_length: int | None = None
    generation: Mapping[str, Any] | None = None
    crops: int = 4
    chunk: int = 64
    seed: int = 0
    prompt_count: int | None = None
    rules: Sequence[AdmissionRule] = ()

    def __post_init__(self) -> None:
        if min(self.crops, self.chunk) < 1 or self.samples < 2:
            raise MusicZooError(
                "PreferenceRounds needs two samples a prompt and one of everything else at least."
            )
        if self.prompt_count is not None and self.prompt_count < 1:
            raise MusicZooError("A round needs at least one prompt.", where="prompt_count")
        check_fraction(self.fraction)
        # A copy that is a plain mapping, whatever was given.
        object.__setattr__(self, "generation", dict(self.generation or {}))
        object.__setattr__(self, "rules", tuple(self.rules))

    @property
    def options(self) -> dict[str, Any]:
        """Further options of ``generate``."""
        return dict(self.generation or {})

    def admission(self) -> list[AdmissionRule]:
        """The rules, in the order in which a piece is asked.

        Raises:
            MusicZooError: A setting of a rule without meaning.
        """
        chosen: list[AdmissionRule] = []
        if self.plagiarism is not None:
            chosen.append(NoCopies(self.plagiarism))
        if self.aligned:
            chosen.append(Aligned())
        if self.grouped_staves:
            chosen.append(GroupedStaves())
        return [*chosen, *self.rules]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that decide a round, the same in another process."""
        plain = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in _NOT_IN_PLANS
        }
        plain["sampling"] = None if self.sampling is None else asdict(self.sampling)
        plain["generation"] = {name: plain_text(value) for name, value in self.options.items()}
        if self.rules:
            plain["rules"] = [plain_text(rule) for rule in self.rules]
        return plain
