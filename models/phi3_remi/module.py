"""The REMI Phi-3 decoder on Lightning."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor
from transformers import Phi3ForCausalLM

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.generative import (
    Batch,
    Generated,
    GenerativeModule,
    Objective,
    OptimizerFactory,
    TokenLogProbs,
)
from musiczoo.models.base.sharding import refuse_shards, shard
from musiczoo.models.causal_lm.generation import Sampled, sample
from musiczoo.models.phi3_remi.guard import RemiGrammar
from musiczoo.models.phi3_remi.net import Phi3RemiConfig, build, token_log_probs
from musiczoo.models.phi3_remi.published import open_published
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.remi import BOS, Remi

# What a download is checked with: two bars and the beginning of a third, as far as the vocabulary
# has these tokens.
_REFERENCE = (
    "BOS Bar_None TimeSig_3/4 Position_0 Tempo_120.0 Pitch_67 Velocity_79 Duration_1.0.12 Pitch_55"
    " Velocity_79 Duration_2.0.12 Position_12 Pitch_66 Velocity_79 Duration_1.0.12 Position_24"
    " Pitch_67 Velocity_79 Duration_0.6.12 Bar_None TimeSig_3/4 Position_0 Pitch_69 Velocity_79"
    " Duration_2.0.12 EOS"
)


class Phi3RemiModule(GenerativeModule):
    """SMART's base model (Jonason, Casini and Sturm 2025, arXiv 2504.16839): Phi-3 over REMI tokens, for ``Trainer.fit`` and generation.

    Args:
        layers: Layers.
        hidden: Width.
        heads: Attention heads.
        intermediate: Width of the feed-forward layers.
        vocabulary: Tokens; 0 for those of the representation.
        positions: Longest sequence.
        key_value_heads: Heads of keys and values; 0 for as many as ``heads``.
        rope_theta: Base of the rotary positions.
        rotary: Part of each head that turns.
        tied: Whether the output layer is the embedding.
        norm_eps: Of the norms.
        dropout: Of what attention and feed-forward layers add.
        attention_dropout: Of the attention weights.
        representation: REMI tokens; SMART's 413 when None.
        pretrained: What to start from: a folder or weights file in transformers' layout, or a name
            that :func:`musiczoo.load` takes; its sizes and tokens replace those above.
        lora: Train an adapter beside the frozen weights, with these settings; None trains all
            weights.
        gradient_checkpointing: Compute the blocks again in the backward pass: less memory, more
            time.
        objective: The loss; next-token likelihood when None.
        optimizer: Makes the optimiser; AdamW at 1e-4, weight decay 0.01, when None.
        warmup_steps: Steps of linear warm-up to a constant rate.
        cooldown_steps: Last steps of ``Trainer(max_steps=...)``, in which the rate falls linearly
            to zero.
        seed: Seed of dropout and of untrained weights.
    """

    architecture: ClassVar[str] = "phi3_remi"
    unit: ClassVar[str | None] = "token"
    net: Phi3ForCausalLM
    representation: Remi
    lora_targets = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")

    def __init__(
        self,
        layers: int = 4,
        hidden: int = 512,
        heads: int = 8,
        intermediate: int = 2048,
        vocabulary: int = 0,
        positions: int = 4096,
        key_value_heads: int = 0,
        rope_theta: float = 10_000.0,
        rotary: float = 1.0,
        tied: bool = False,
        norm_eps: float = 1e-5,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        representation: Remi | None = None,
        pretrained: str | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        gradient_checkpointing: bool = False,
        objective: Objective | None = None,
        optimizer: OptimizerFactory | None = None,
        warmup_steps: int = 0,
        cooldown_steps: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(objective, optimizer, warmup_steps, cooldown_steps, seed)
        # The paper's: "All completions were sampled with temperature 1.0", from the whole
        # distribution. A checkpoint may bring its own.
        self.sampling = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)
        self.representation = representation or Remi.smart()
        if pretrained is None:
            self.config = Phi3RemiConfig(
                layers=layers,
                hidden=hidden,
                heads=heads,
                intermediate=intermediate,
                vocabulary=vocabulary or len(self.representation.vocabulary),
                positions=positions,
                key_value_heads=key_value_heads,
                rope_theta=rope_theta,
                rotary=rotary,
                tied=tied,
                norm_eps=norm_eps,
                dropout=dropout,
                attention_dropout=attention_dropout,
            )
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.net = build(self.config)
        else:
            self._open(pretrained, dropout, attention_dropout)
        self._check_vocabulary()
        own = {
            "warmup_steps": warmup_steps,
            "cooldown_steps": cooldown_steps,
            "seed": seed,
            "gradient_checkpointing": gradient_checkpointing,
        }
        # Plain values only: a checkpoint must open without executing anything and without the file
        # of before.
        self.save_hyperparameters({**self.config.to_dict(), **own}, logger=False)
        # transformers' own switch wraps the layers, which are not called here.
        self.net.model.gradient_checkpointing = gradient_checkpointing
        if lora is not None:
            self.add_lora(lora, seed)

    @classmethod
    def from_published(cls, path: str | Path, **settings: Any) -> Self:
        """A module with the weights of a folder (or weights file in one) in transformers' layout, in eval mode.

        Raises:
            MusicZooError: See :func:`musiczoo.models.phi3_remi.published.open_published`.
        """
        return cls(pretrained=str(path), **settings).eval()

    def _open(self, pretrained: str, dropout: float, attention_dropout: float) -> None:
        if Path(pretrained).exists():
            self.config, self.net, tokens = open_published(Path(pretrained))
            if tokens is not None:
                self.representation = tokens
        else:
            from musiczoo.hub.loading import load

            other = load(pretrained)
            if not isinstance(other, Phi3RemiModule):
                raise MusicZooError(
                    f"{pretrained} is a model of another architecture.", where="pretrained"
                )
            self.config, self.net, self.representation = (
                other.config,
                other.net,
                other.representation,
            )
            self.loaded_from = other.loaded_from
            self.take_record(other.record())
        self.source = pretrained
        self.config = replace(self.config, dropout=dropout, attention_dropout=attention_dropout)
        self.net.config.resid_pdrop, self.net.config.attention_dropout = dropout, attention_dropout
        for part in self.net.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = dropout

    def _check_vocabulary(self) -> None:
        if len(self.representation.vocabulary) != self.config.vocabulary:
            raise MusicZooError(
                f"The net knows {self.config.vocabulary} tokens, and the representation has"
                f" {len(self.representation.vocabulary)}.",
                where="representation",
                remedy="Give the tokenizer that the weights were trained with.",
            )

    def to_config(self) -> dict[str, Any]:
        """The sizes of the net."""
        return self.config.to_dict()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], representation: Any, **settings: Any) -> Self:
        """A module of these sizes with untrained weights.

        Raises:
            MusicZooError: The representation does not give REMI tokens, or other ones than the net
                knows.
        """
        if not isinstance(representation, Remi):
            raise MusicZooError(
                "The representation does not fit the net.", remedy="It must give REMI tokens."
            )
        known = {item.name for item in fields(Phi3RemiConfig)}
        return cls(
            **{
                **{name: value for name, value in config.items() if name in known},
                "representation": representation,
                **settings,
            }
        )

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short sequences of different length."""
        names = [
            name if name in self.representation.index else self.representation.vocabulary[-1]
            for name in _REFERENCE.split()
        ]
        ids = self.representation.encode_text(" ".join(names))[: self.config.positions]
        return self.representation.collate([ids, ids[1:-4]])

    def configure_model(self) -> None:
        """Shards the net, layer by layer, where the strategy has a device mesh.

        Raises:
            MusicZooError: See :func:`musiczoo.models.base.sharding.shard`.
        """
        shard(self, [])

    def on_fit_start(self) -> None:
        """Nets opened from a file come in eval mode, and Lightning would keep them so."""
        super().on_fit_start()
        self.net.train()

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
        if batch["ids"].shape[1] > self.config.positions:
            raise MusicZooError(
                f"A sequence of {batch['ids'].shape[1]} tokens does not fit into"
                f" {self.config.positions} positions.",
                remedy="Give the data module a smaller max_length.",
            )
        return TokenLogProbs(
            *token_log_probs(self.net, batch["ids"], batch["lengths"], temperature)
        )

    def generate(
        self,
        prompts: Sequence[Tensor | str],
        sampling: Sampling | None = None,
        max_length: int | None = None,
        generator: torch.Generator | None = None,
        *,
        max_new_tokens: int | None = None,
        min_new_tokens: int = 0,
        batch_size: int = 64,
        guard: str | None = None,
        on_done: Callable[[int, Generated], None] | None = None,
        progress: bool = False,
        **options: Any,
    ) -> list[Generated]:
        """Continues prompts of tokens.

        Args:
            prompts: Ids (tokens,), or names of tokens with spaces between; an empty one starts from
                nothing (``BOS``).
            sampling: The cuts; :attr:`sampling` by default, which is the full softmax at
                temperature 1 where the checkpoint brings none.
            max_length: Tokens of a piece at most, prompt included; the context by default.
            generator: Source of randomness; torch's default generator when None.
            max_new_tokens: Tokens after the prompt at most.
            min_new_tokens: Tokens after the prompt before which no piece ends.
            batch_size: Pieces at once.
            guard: ``"grammar"`` lets only REMI be said
                (:class:`musiczoo.models.phi3_remi.guard.RemiGrammar`).
            on_done: Called with the number of a piece and the piece as soon as it has ended, while
                others are still being sampled.
            progress: Show a progress bar.
            options: None; an unknown option is refused by name.

        Returns:
            One result a prompt, in order; ``tokens``, ``log_probs`` and ``scored`` are (tokens,).
            Without a note a ``piece`` has no track.

        Raises:
            MusicZooError: An unknown option, or a prompt that is too long or no tokens of the
                vocabulary.
        """
        if options:
            raise MusicZooError(
                f"generate has no option {', '.join(options)}.",
                remedy="See Phi3RemiModule.generate.",
            )
        if guard not in (None, "grammar"):
            raise MusicZooError(
                f"There is no guard {guard!r}.", where="guard", remedy='Give "grammar" or None.'
            )
        if not prompts:
            return []
        refuse_shards(self.net)
        encoded = [self._prompt(prompt) for prompt in prompts]
        most = min(max_length or self.config.positions, self.config.positions)
        limits = [min(most, len(ids) + (max_new_tokens or most)) for ids in encoded]
        for number, (ids, limit) in enumerate(zip(encoded, limits, strict=True)):
            if len(ids) >= limit:
                raise MusicZooError(
                    f"A prompt of {len(ids)} tokens leaves no room in {limit}.",
                    where=f"prompt {number}",
                    remedy="Shorten it.",
                )
        seeds = torch.randint(2**62, (len(prompts),), generator=generator).tolist()
        grammar = RemiGrammar(self.representation) if guard else None
        # Inference leaves no mark on the module: dropout is off for the while and the mode comes
        # back.
        training = self.net.training
        self.net.train(False)
        results: dict[int, Generated] = {}
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(
            *columns, console=Console(stderr=True), disable=not progress, transient=True
        ) as bar:
            task = bar.add_task("sampling", total=len(prompts))

            def done(number: int, sequence: Sampled) -> None:
                results[number] = self._result(sequence)
                bar.advance(task)
                if on_done is not None:
                    on_done(number, results[number])

            try:
                with torch.no_grad():
                    sample(
                        self.net,
                        encoded,
                        seeds,
                        limits,
                        sampling or self.sampling,
                        slots=min(batch_size, len(prompts)),
                        least=min_new_tokens,
                        grammar=grammar,
                        on_done=done,
                    )
            finally:
                self.net.train(training)
        return [results[number] for number in range(len(prompts))]

    def _prompt(self, prompt: Tensor | str) -> Tensor:
        ids = (
            self.representation.encode_text(prompt)
            if isinstance(prompt, str)
            else prompt.detach().to("cpu", torch.int64)
        )
        if ids.ndim != 1 or (
            len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < self.config.vocabulary
        ):
            raise MusicZooError(
                "A prompt holds other numbers than ids of the vocabulary.",
                remedy="Give ids of shape (tokens,), or names.",
            )
        return ids if len(ids) else torch.tensor([BOS])

    def _result(self, sequence: Sampled) -> Generated:
        scored = torch.arange(len(sequence.tokens)) >= sequence.prompt
        error: MusicZooError | None = None
        piece = None
        try:
            piece = self.representation.decode(sequence.tokens)
        except MusicZooError as problem:
            error = problem
        return Generated(
            piece=piece,
            text=self.representation.text(sequence.tokens),
            tokens=sequence.tokens,
            log_probs=sequence.log_probs,
            scored=scored,
            stop=sequence.stop,
            error=error,
        )

    def training_item(self, result: Generated, rng: random.Random | None = None) -> Tensor:
        """The tokens as they were generated.

        Reading the piece anew would leave out what is no REMI.
        """
        return result.tokens
