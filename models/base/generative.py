"""The contract of generative architectures: log-probabilities, and generation from prompts.

A :class:`GenerativeModule` scores its targets (:meth:`GenerativeModule.log_probs`) and generates
(:meth:`GenerativeModule.generate`). Every objective is built on the first alone, so that each
objective works with each architecture.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.generation_progress import GenerationProgress
from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.objective import Batch, Objective, TokenLogProbs
from musiczoo.models.objectives.likelihood import Likelihood
from musiczoo.models.sampling import Sampling
from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

if TYPE_CHECKING:
    from symusic.core import ScoreTick

Stop = Literal["end", "max_length", "cancelled"]
OnProgress = Callable[[int, str], bool | None]


@dataclass(frozen=True)
class Generated:
    """One generated piece.

    Attributes:
        piece: The piece, a tune or (of MIDI models) a symusic score; None of models that write
            text, and where the text is no piece (see ``error``).
        text: What was generated with its prompt, as the representation decodes it; names of tokens
            where these are no characters.
        tokens: Token ids of prompt and continuation, in the representation's layout.
        log_probs: Log-probability of each token of the full softmax at the sampling temperature,
            before any cut; 0 for prompt and padding.
        scored: True where ``log_probs`` holds a sampled token.
        stop: Why generation stopped: the model's end mark, the length limit, or ``on_progress``.
        error: Why there is no ``piece``.
        prompt: What was asked for, as the module checked it (such as labels); None where the prompt
            was text or tokens, which ``text`` begins with.
    """

    piece: Tune | ScoreTick | None
    text: str
    tokens: Tensor
    log_probs: Tensor
    scored: Tensor
    stop: Stop
    error: MusicZooError | None = None
    prompt: Any = None

    @property
    def labels(self) -> Labels | None:
        """The prompt where it is labels."""
        return self.prompt if isinstance(self.prompt, Labels) else None


class GenerativeModule(ZooModule):
    """A generative architecture.

    Attributes:
        generate_options: What :meth:`generate` takes beyond the arguments that all architectures
            have: names, each with a line that describes it.
        sampling: How :meth:`generate` draws by default; a checkpoint keeps it.

    Args:
        objective: The loss; next-token likelihood when None.
        settings: Of :class:`ZooModule`.
    """

    generate_options: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, objective: Objective | None = None, **settings: Any) -> None:
        super().__init__(objective=objective or Likelihood(), **settings)
        self.sampling = Sampling()

    @abstractmethod
    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        """Log-probabilities of the full softmax for every target of the batch, differentiable.

        Args:
            batch: What the representation's ``collate`` made.
            temperature: Divides the logits.

        Returns:
            Values and mask of shape (batch, targets).
        """

    @abstractmethod
    def _sampled(
        self,
        prompts: Sequence[Any],
        seeds: Sequence[int],
        *,
        sampling: Sampling,
        max_length: int | None,
        batch_size: int | None,
        guard: Any,
        on_progress: OnProgress | None,
    ) -> Iterator[tuple[int, Generated]]:
        """Continues prompts: each piece with its number as soon as it has ended.

        The module is in eval mode. A piece depends on its prompt and its seed alone, not on the
        batch around it. Architectures add keywords of their own (:attr:`generate_options`).
        """

    def generate(
        self,
        prompts: Sequence[Any],
        sampling: Sampling | None = None,
        max_length: int | None = None,
        generator: torch.Generator | None = None,
        *,
        batch_size: int | None = None,
        guard: Any = None,
        on_progress: OnProgress | None = None,
        progress: bool = False,
        **options: Any,
    ) -> list[Generated]:
        """Continues prompts: batched, cached and seeded; every piece stops on its own.

        Args:
            prompts: Of one of the module's ``prompt_kinds`` each.
            sampling: How tokens are drawn; :attr:`sampling` by default, which a checkpoint brings.
            max_length: Longest piece in the module's ``length_unit``, prompt included; None lets
                the architecture decide.
            generator: Source of randomness; torch's default generator when None.
            batch_size: Pieces at once; None lets the architecture decide.
            guard: Masks tokens before they are drawn; see the architecture.
            on_progress: Called with the number of a piece and its text so far, whenever it has
                grown by a bar (notation, performances) or a token (text). False ends that piece
                with ``stop = "cancelled"``.
            progress: Show a progress bar.
            options: Of the architecture; see :attr:`generate_options`.

        Returns:
            One result a prompt, in order. Where the module is in training mode, it is so again
            afterwards.

        Raises:
            MusicZooError: An unknown option, or a prompt that the module cannot continue.
        """
        bar = GenerationProgress(len(prompts), self.fraction) if progress else None
        pieces = self.stream(
            prompts,
            sampling,
            max_length,
            generator,
            batch_size=batch_size,
            guard=guard,
            on_progress=on_progress if bar is None else bar.watching(on_progress),
            **options,
        )
        found = dict(pieces if bar is None else bar.shown(pieces))
        return [found[number] for number in range(len(prompts))]

    def stream(
        self,
        prompts: Sequence[Any],
        sampling: Sampling | None = None,
        max_length: int | None = None,
        generator: torch.Generator | None = None,
        *,
        batch_size: int | None = None,
        guard: Any = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> Iterator[tuple[int, Generated]]:
        """As :meth:`generate`: yields each piece with its number as soon as it has ended.

        Others are still under way then; they are sampled when the next piece is asked for.
        """
        self.check_options(options)
        if not prompts:
            return
        self._refuse_shards()
        seeds = torch.randint(2**62, (len(prompts),), generator=generator).tolist()
        pieces = self._sampled(
            prompts,
            seeds,
            sampling=sampling or self.sampling,
            max_length=max_length,
            batch_size=batch_size,
            guard=guard,
            on_progress=on_progress,
            **options,
        )
        while True:
            # What the caller does between two pieces is not in eval mode.
            with evaluating(self):
                item = next(pieces, None)
            if item is None:
                return
            yield item

    def _refuse_shards(self) -> None:
        """Generation reads weights without calling the net, so that nothing would gather them."""
        if any(isinstance(parameter, DTensor) for parameter in self.net.parameters()):
            raise MusicZooError(
                "A net whose weights are spread over devices cannot generate.",
                remedy="Load the checkpoint folder of the stage and generate with that.",
            )

    def check_options(self, names: Iterable[str]) -> None:
        """Checks names of :attr:`generate_options`.

        Raises:
            MusicZooError: One that the architecture does not have.
        """
        if unknown := [name for name in names if name not in self.generate_options]:
            raise MusicZooError(
                f"generate has no option {', '.join(unknown)}.",
                where=type(self).__name__,
                remedy=f"It has {', '.join(self.generate_options) or 'none of its own'}.",
            )

    def guard_for(
        self, *, align: bool, meter: bool, min_bars: int | None, max_bars: int | None
    ) -> Any:
        """The guard that users ask for in words; None where nothing is asked for.

        Args:
            align: The voices of every bar have one length.
            meter: Every bar is as long as the meter states.
            min_bars: Bars of the piece at least.
            max_bars: Bars of the piece at most.

        Raises:
            MusicZooError: The architecture has no such guard.
        """
        if align or meter or min_bars is not None or max_bars is not None:
            raise MusicZooError(
                f"A {type(self).__name__} has no guard of bars.",
                remedy="Leave out --align, --meter, --min-bars and --max-bars.",
            )
        return None

    def fraction(self, text: str) -> float | None:
        """The share of a piece that a text so far is; None where a text does not state it."""
        return None

    def training_item(self, result: Generated, rng: random.Random | None = None) -> Tensor:
        """A generated piece as training sees it.

        Args:
            result: A piece that came to its end.
            rng: Chooses the part of one that is longer than the context.

        Returns:
            What the representation's ``encode`` would give; the same for every ``rng`` where it
            fits the context.

        Raises:
            MusicZooError: The piece cannot be encoded.
        """
        encoded: Tensor = self.representation.encode(result.piece, rng=rng)
        return encoded

    def rollout_item(self, result: Generated) -> tuple[Tensor, Tensor]:
        """A generated piece exactly as it was sampled, for policy gradients, ended or not.

        Args:
            result: Of :meth:`generate`.

        Returns:
            The tokens, ready for the representation's ``collate``, and the (targets,) bool mask of
            those targets of :meth:`log_probs` that were sampled, in its order; ``result.log_probs``
            without its first step, flattened, are their log-probabilities.

        Raises:
            MusicZooError: The piece is longer than the context.
        """
        longest = self.representation.max_length
        if longest is not None and len(result.tokens) > longest:
            raise MusicZooError(
                f"The piece has {len(result.tokens)} steps, and the context {longest}.",
                remedy="Sample shorter pieces (max_length=).",
            )
        return result.tokens, result.scored[1:].flatten()

    def train_dataloader(self) -> Any:
        """Called where :meth:`Trainer.fit` got no data and no callback has brought any.

        Raises:
            MusicZooError: Always.
        """
        raise MusicZooError(
            "There is nothing to train on.",
            where="Trainer.fit",
            remedy="Give a data module, or a callback that brings batches (GroupRollouts).",
        )

    def record(self) -> dict[str, Any]:
        """Adds the sampling settings to what a checkpoint keeps."""
        return {**super().record(), "sampling": asdict(self.sampling)}

    def load_record(self, record: Mapping[str, Any]) -> None:
        """Loads what :meth:`record` gave.

        Raises:
            MusicZooError: Sampling settings that do not exist or are out of range.
        """
        super().load_record(record)
        settings = record.get("sampling", {})
        if unknown := sorted(set(settings) - {item.name for item in fields(Sampling)}):
            raise MusicZooError(
                f"There is no sampling setting {', '.join(unknown)}.",
                remedy="pip install --upgrade musiczoo",
            )
        self.sampling = Sampling(**settings)

    def reference_outputs(self, batch: Batch) -> dict[str, Tensor]:
        """``log_probs``, (batch, targets): 0 where nothing is scored."""
        with torch.no_grad():
            return {"log_probs": self.log_probs(batch).values.float()}
