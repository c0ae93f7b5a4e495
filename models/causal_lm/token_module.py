"""What modules of decoder-only token models share, whatever their tokens mean."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.generative import Generated, GenerativeModule, OnProgress
from musiczoo.models.base.objective import Batch, TokenLogProbs
from musiczoo.models.base.pretrained import start_from
from musiczoo.models.base.sharding import shard
from musiczoo.models.causal_lm.config import DecoderConfig
from musiczoo.models.causal_lm.generation import (
    TOKEN_OPTIONS,
    Sampled,
    TokenGuard,
    TokenLimits,
    TokenSampler,
)
from musiczoo.models.causal_lm.net import (
    set_gradient_checkpointing,
    token_log_distribution,
    token_log_probs,
)
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError


class TokenModule(GenerativeModule):
    """A decoder-only net of transformers that continues sequences of tokens.

    A subclass gives its representation to this constructor, builds its net (:meth:`build_net`),
    reads prompts and makes results. Lengths are tokens, the context at most. ``tokens``,
    ``log_probs`` and ``scored`` of a result are (tokens,).

    Args:
        config: The sizes. Single ones may be given by their names instead (``hidden=256``).
        representation: The tokens. Untrained nets have its vocabulary where the sizes state none.
        pretrained: What to start from: a folder or weights file in transformers' layout, or a name
            that :func:`musiczoo.load` takes. Its sizes are taken, and its tokens where it has some.
        lora: Train an adapter beside the frozen weights, with these settings; None trains all
            weights.
        gradient_checkpointing: Compute the blocks again in the backward pass: less memory, more
            time.
        settings: Of :class:`musiczoo.models.base.ZooModule`; ``seed`` is that of untrained weights
            too.

    Raises:
        MusicZooError: Weights that cannot be used.
    """

    config_type: ClassVar[type[DecoderConfig]]
    length_unit = "token"
    unit = "token"
    generate_options = TOKEN_OPTIONS
    net: Any
    config: Any

    def __init__(
        self,
        config: DecoderConfig | None = None,
        *,
        representation: Any,
        pretrained: str | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> None:
        sizes = self.config_type.from_settings(config, settings)
        super().__init__(**settings)
        # The whole distribution, as rollouts need it, and as SMART has it: "All completions were
        # sampled with temperature 1.0". A checkpoint may bring its own.
        self.sampling = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)
        sizes = replace(sizes, vocabulary=sizes.vocabulary or len(representation.vocabulary))
        stored = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if pretrained is None:
                self.config, self.net = sizes, self.build_net(sizes)
            else:
                stored = start_from(self, self.build_net, sizes, pretrained)
        self.representation = stored or representation
        self._keep_settings(gradient_checkpointing=gradient_checkpointing)
        set_gradient_checkpointing(self.net, gradient_checkpointing)
        if lora is not None:
            self.add_lora(lora, self.seed)

    @staticmethod
    def build_net(config: Any) -> Any:
        """A net of these sizes with untrained weights."""
        raise NotImplementedError

    @classmethod
    def from_published(cls, path: str | Path, **settings: Any) -> Self:
        """A module with the weights of a folder (or file in one) in transformers' layout.

        In eval mode.

        Raises:
            MusicZooError: See the ``read_published`` of the architecture.
        """
        return cls(pretrained=str(path), **settings).eval()

    def configure_model(self) -> None:
        """Shards the net, layer by layer, where the strategy has a device mesh.

        Raises:
            MusicZooError: See :func:`musiczoo.models.base.sharding.shard`.
        """
        shard(self, [])

    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        """Log-probabilities of every token after the first.

        Args:
            batch: ``ids`` (batch, longest) and ``lengths`` (batch,), as the representation
                collates.
            temperature: Divides the logits.

        Returns:
            Values and mask of shape (batch, longest - 1).

        Raises:
            MusicZooError: A sequence longer than the context.
        """
        scored = token_log_probs(self.net, batch["ids"], batch["lengths"], temperature)
        return TokenLogProbs(*scored)

    def log_distribution(self, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Log-probabilities of all tokens; see :class:`musiczoo.models.base.Distributes`.

        Args:
            batch: As in :meth:`log_probs`.
            temperature: Divides the logits.

        Returns:
            (batch, longest - 1, vocabulary), 0 where nothing is scored.

        Raises:
            MusicZooError: A sequence longer than the context.
        """
        return token_log_distribution(self.net, batch["ids"], batch["lengths"], temperature)

    def training_item(self, result: Generated, rng: random.Random | None = None) -> Tensor:
        """The tokens as they were generated; encoding the result again could give others."""
        return result.tokens

    def _ids(self, prompt: Tensor, first: int) -> Tensor:
        """The ids of a prompt, (tokens,) int64 on the CPU, with at least one token.

        Args:
            prompt: Ids, (tokens,).
            first: What an empty prompt starts from.

        Raises:
            MusicZooError: Another shape, or a number that is no id.
        """
        ids = prompt.detach().to("cpu", torch.int64)
        inside = not len(ids) or 0 <= int(ids.min()) <= int(ids.max()) < self.config.vocabulary
        if ids.ndim != 1 or not inside:
            raise MusicZooError(
                "A prompt holds other numbers than ids of the vocabulary.",
                remedy="Give ids of shape (tokens,), or text.",
            )
        return ids if len(ids) else torch.tensor([first])

    def _continued(
        self,
        prompts: Sequence[Tensor],
        seeds: Sequence[int],
        *,
        end: int,
        guard: TokenGuard | None,
        sampling: Sampling,
        max_length: int | None,
        batch_size: int | None,
        on_progress: OnProgress | None,
        max_new_tokens: int | None = None,
        min_new_tokens: int = 0,
    ) -> Iterator[tuple[int, Sampled]]:
        """Continues checked prompts, as :meth:`_sampled` is asked to.

        Args:
            prompts: Ids (tokens,), or embeddings (tokens, hidden).
            seeds: Of each.
            end: The token that ends a sequence.
            guard: Masks tokens before they are drawn.
            sampling: How tokens are drawn.
            max_length: Tokens at most, prompt included.
            batch_size: Sequences at once; 64 when None.
            on_progress: Called with the text so far of each sequence after each token.
            max_new_tokens: Tokens after the prompt at most.
            min_new_tokens: Tokens after the prompt before which no sequence ends.
        """
        text = self.representation.text
        sampler = TokenSampler(
            self.net,
            sampling,
            TokenLimits(self.config.positions, max_length, max_new_tokens, min_new_tokens),
            slots=batch_size or 64,
            end=end,
            guard=guard,
            on_tokens=on_progress and (lambda number, ids: on_progress(number, text(ids))),
        )
        return sampler.run(prompts, seeds)


def generated(sequence: Sampled, text: str, piece: Any = None, error: Any = None) -> Generated:
    """The result of a sequence.

    Args:
        sequence: What was sampled.
        text: Of its tokens.
        piece: Of its tokens, where they stand for one.
        error: Why there is no piece.
    """
    return Generated(
        piece=piece,
        text=text,
        tokens=sequence.tokens,
        log_probs=sequence.log_probs,
        scored=torch.arange(len(sequence.tokens)) >= sequence.prompt,
        stop=sequence.stop,
        error=error,
    )
