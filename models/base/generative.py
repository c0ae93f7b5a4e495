"""The contracts between architectures, objectives and the Trainer.

A :class:`GenerativeModule` scores its targets (:meth:`GenerativeModule.log_probs`) and generates
(:meth:`GenerativeModule.generate`). Every objective is built on the first alone, so that each
objective works with each architecture.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from musiczoo.models.base.checkpointed import Prompt
from musiczoo.models.base.training import (
    Batch,
    Objective,
    ObjectiveResult,
    OptimizerFactory,
    TrainedModule,
)
from musiczoo.models.sampling import Sampling
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

if TYPE_CHECKING:
    from symusic.core import ScoreTick

__all__ = [
    "Batch",
    "Generated",
    "GenerativeModule",
    "Objective",
    "ObjectiveResult",
    "OptimizerFactory",
    "Prompt",
    "TokenLogProbs",
]


@dataclass(frozen=True)
class TokenLogProbs:
    """Log-probabilities of a batch's targets.

    Attributes:
        values: (batch, targets) natural logarithms, differentiable, 0 where ``mask`` is False.
        mask: (batch, targets) bool, True for scored targets.
    """

    values: Tensor
    mask: Tensor

    def sums(self) -> Tensor:
        """(batch,) float64 summed log-probability of each sequence.

        In float32 small differences of long sums would be lost.
        """
        return self.values.sum(dim=1, dtype=torch.float64)


@dataclass(frozen=True)
class Generated:
    """One generated piece.

    Attributes:
        piece: The piece, a tune or (of MIDI models) a symusic score; None when the text cannot be
            read (see ``error``).
        text: What was generated with its prompt, as the representation decodes it; names of tokens
            where these are no characters.
        tokens: Token ids of prompt and continuation, in the representation's layout.
        log_probs: Log-probability of each token of the full softmax at the sampling temperature,
            before any cut; 0 for prompt and padding.
        scored: True where ``log_probs`` holds a sampled token.
        stop: Why generation stopped: the model's end mark, the length limit, or a callback that
            asked for it.
        error: Why there is no ``piece``.
        labels: The labels it was asked for, where the prompt was labels.
    """

    piece: Tune | ScoreTick | None
    text: str
    tokens: Tensor
    log_probs: Tensor
    scored: Tensor
    stop: Literal["end", "max_length", "cancelled"]
    error: MusicZooError | None = None
    labels: Labels | None = None


class GenerativeModule(TrainedModule):
    """A generative architecture on Lightning.

    How it trains is told at :class:`musiczoo.models.base.training.TrainedModule`.

    Attributes:
        sampling: What :meth:`generate` draws with unless told otherwise; a checkpoint keeps it.

    Args:
        objective: The loss; next-token likelihood when None.
        optimizer: Makes the optimiser from the trainable parameters; AdamW at 1e-4 when None.
        warmup_steps: Optimiser steps of linear warm-up to a constant learning rate.
        cooldown_steps: Optimiser steps at the end of ``Trainer(max_steps=...)`` in which the rate
            falls linearly to zero.
        seed: Seed of the dropout.
    """

    representation: Any

    def __init__(
        self,
        objective: Objective | None,
        optimizer: OptimizerFactory | None,
        warmup_steps: int,
        cooldown_steps: int,
        seed: int,
    ) -> None:
        from musiczoo.models.objectives import Likelihood

        super().__init__(objective or Likelihood(), optimizer, warmup_steps, cooldown_steps, seed)
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
    def generate(
        self,
        prompts: Sequence[Any],
        sampling: Sampling | None = None,
        max_length: int | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> list[Generated]:
        """Continues each prompt, batched, cached and seeded; every piece stops on its own.

        Without ``sampling``, :attr:`sampling` decides, which a checkpoint brings along.
        """

    def training_item(self, result: Generated, rng: random.Random | None = None) -> Tensor:
        """A generated piece as training sees it.

        Args:
            result: A piece that came to its end.
            rng: Chooses the part of one that is longer than the context.

        Returns:
            What the representation's ``encode`` would make of it; the same for every ``rng`` where
            it fits the context.

        Raises:
            MusicZooError: The piece cannot be encoded.
        """
        encoded: Tensor = self.representation.encode(result.piece, rng=rng)
        return encoded

    def rollout_item(self, result: Generated) -> tuple[Tensor, Tensor]:
        """A generated piece exactly as it was sampled, for policy gradients, whether or not it came to its end.

        Args:
            result: What :meth:`generate` gave.

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
        """Called where :meth:`Trainer.fit` was given no data and no callback has brought any.

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

    def take_record(self, record: Mapping[str, Any]) -> None:
        """Takes up what :meth:`record` gave.

        Raises:
            MusicZooError: Sampling settings that do not exist or are out of range.
        """
        super().take_record(record)
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
