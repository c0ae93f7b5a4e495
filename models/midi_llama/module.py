"""MIDI-LLaMA on Lightning: training in two stages, answers about pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from musiczoo.models.adapters import LoRA, add_adapter
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.generative import Generated, GenerativeModule, OnProgress
from musiczoo.models.base.objective import Batch, TokenLogProbs
from musiczoo.models.causal_lm.generation import (
    TOKEN_OPTIONS,
    Sampled,
    TokenGuard,
    TokenLimits,
    TokenSampler,
)
from musiczoo.models.causal_lm.module import TextLMModule
from musiczoo.models.midi_llama.config import MidiLlamaConfig
from musiczoo.models.midi_llama.net import MidiLlamaNet
from musiczoo.models.midi_llama.parts import chat_of, open_parts
from musiczoo.models.midi_llama.prompts import embedded_prompts, rows_of_prompts
from musiczoo.models.musicbert.module import MusicBertModule
from musiczoo.models.sampling import Sampling
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.music_questions import (
    ANSWER,
    Asked,
    MusicQuestions,
    QuestionTemplate,
    rows_of,
)

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    from musiczoo.music.abc import Tune

# What a download is checked with.
_REFERENCE = "M:3/4\nL:1/8\nK:Gm\nG2 ^F2 G2|A3 B c2-|c2 B4|"
_QUESTIONS = (("Is it in major or minor?", "It is in a minor mode."), ("How many voices?", "One."))
# Rows of a batch of pieces whose features are computed at once.
_ROWS = 8192
# Tokens of an answer where nobody asks for another number.
_ANSWER_TOKENS = 128


class MidiLlamaModule(GenerativeModule):
    r"""MIDI-LLaMA: a language model that reads the features of a piece as tokens.

    A frozen MusicBERT reads the notes, the means of its states over the piece (or over segments of
    it) go through a projection and stand before the question, and a frozen language model with an
    adapter answers. First the projection is trained alone (``trainable=["projection.*"]``), then
    with the adapter. What a checkpoint holds is projection and adapter; both frozen parts are named
    with a digest, and checked when they are opened.

    Prompts of :meth:`generate` are pairs of a piece and a question
    (:class:`musiczoo.representations.music_questions.Asked`), or rows (rows, 9). ``text`` of a
    result is the answer.

    Args:
        config: The settings. Single ones may be given by their names instead (``segments=16``).
        encoder: A MusicBERT module that is open already; its ``source`` names it.
        language_model: Likewise a language model; its net is taken over.
        representation: Tokens and template; those of the language model when None.
        template: ``"plain"``, or ``"chat"`` for the chat template beside the language model's
            weights, where no representation is given.
        settings: Of :class:`musiczoo.models.base.ZooModule`; ``seed`` is that of projection and
            adapter too.

    Raises:
        MusicZooError: A part that cannot be opened, or has other weights than before.
    """

    architecture: ClassVar[str] = "midi_llama"
    config_type = MidiLlamaConfig
    representation_type = MusicQuestions
    writes = "text"
    prompt_kinds = ("questions", "tokens")
    length_unit = "token"
    unit = "token"
    generate_options = TOKEN_OPTIONS
    net: MidiLlamaNet
    config: MidiLlamaConfig
    representation: MusicQuestions

    def __init__(
        self,
        config: MidiLlamaConfig | None = None,
        *,
        encoder: MusicBertModule | str | None = None,
        language_model: TextLMModule | None = None,
        representation: MusicQuestions | None = None,
        template: str = "plain",
        **settings: Any,
    ) -> None:
        sizes = MidiLlamaConfig.from_settings(config, settings)
        if isinstance(encoder, str):
            sizes, encoder = replace(sizes, encoder=encoder), None
        super().__init__(**settings)
        self.sampling = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=0.0)
        parts = open_parts(sizes, encoder, language_model)
        self.config = parts.config
        self.lm_positions: int = parts.lm.config.positions
        offered = parts.lm.lora_targets
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if self.config.adapter:
                add_adapter(parts.lm.net, LoRA.from_dict(self.config.adapter), offered, self.seed)
            reader = None if parts.encoder is None else parts.encoder.net
            shape = (self.config.segments, self.config.projection)
            self.net = MidiLlamaNet(parts.lm.net, reader, *shape)
        self.representation = representation or self._own_representation(parts, template)
        self._keep_settings()

    def _own_representation(self, parts: Any, template: str) -> MusicQuestions:
        """The tokens of the language model, the notes of the encoder, and a template."""
        texts = QuestionTemplate()
        if template == "chat":
            texts = QuestionTemplate.of_chat(chat_of(self.config.lm))
        elif template != "plain":
            raise MusicZooError(
                f"There is no template {template!r}.",
                where="template",
                remedy='Give "plain", "chat", or a representation.',
            )
        return MusicQuestions(
            parts.lm.representation,
            None if parts.encoder is None else parts.encoder.representation,
            music="abc" if parts.encoder is None else "notes",
            template=texts,
            max_length=self.lm_positions - self.config.segments,
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any], representation: Any, **settings: Any) -> Self:
        """A module whose two parts are opened, and whose projection and adapter are untrained."""
        sizes = MidiLlamaConfig.from_dict(config)
        return cls(sizes, representation=representation, **settings)

    @property
    def encoder_digest(self) -> str:
        """What cached features depend on, as text."""
        octuples = self.representation.octuples.to_config()
        return f"{self.config.encoder_sha256}:{self.config.segments}:{sorted(octuples.items())}"

    def reference_batch(self) -> dict[str, Tensor]:
        """Two questions about a short piece."""
        piece = read_abc(_REFERENCE)
        return self.representation.collate(
            [self.representation.encode(Asked(piece, *texts)) for texts in _QUESTIONS]
        )

    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        """Log-probabilities of the tokens of the answers.

        Args:
            batch: ``ids`` (batch, longest, 9) and ``lengths`` (batch,), as the representation
                collates; ``features`` (batch, segments, width) where they are known.
            temperature: Divides the logits.

        Returns:
            Values and mask of shape (batch, longest - 1).

        Raises:
            MusicZooError: A sequence longer than the context.
        """
        logits, rows = self._forward(batch)
        scored = -F.cross_entropy(logits / temperature, rows.targets, reduction="none")
        values = torch.zeros(rows.mask.shape, dtype=scored.dtype, device=scored.device)
        return TokenLogProbs(values.masked_scatter(rows.mask, scored), rows.mask)

    def log_distribution(self, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Log-probabilities of all tokens; see :class:`musiczoo.models.base.Distributes`.

        Args:
            batch: As in :meth:`log_probs`.
            temperature: Divides the logits.

        Returns:
            (batch, longest - 1, vocabulary), 0 where nothing is scored.
        """
        logits, rows = self._forward(batch)
        scores = torch.log_softmax(logits / temperature, dim=-1)
        found = scores.new_zeros(*rows.mask.shape, scores.shape[1])
        return found.masked_scatter(rows.mask.unsqueeze(-1), scores)

    def _forward(self, batch: Batch) -> tuple[Tensor, Any]:
        logits, rows = self.net(batch["ids"], batch["lengths"], batch.get("features"))
        if int(rows.lengths.max()) > self.lm_positions:
            raise MusicZooError(
                f"A sequence of {int(rows.lengths.max())} tokens does not fit into"
                f" {self.lm_positions} positions.",
                remedy="Give the representation a smaller max_length.",
            )
        return logits, rows

    def on_fit_start(self) -> None:
        """Takes mean and deviation of the features of the first training data."""
        super().on_fit_start()
        known = getattr(getattr(self.trainer, "datamodule", None), "feature_table", None)
        projection: Any = self.net.projection
        if known is not None and projection is not None:
            projection[0].set(known.to(self.device))

    def pooled(self, pieces: Sequence[Tune | ScoreTick]) -> Tensor:
        """The features of pieces, from which music tokens are made.

        Args:
            pieces: Tunes or symusic scores.

        Returns:
            (pieces, segments, width) float32 on the CPU, without gradient. A row does not depend
            on the other pieces, except for rounding.

        Raises:
            MusicZooError: A piece without a note, or a model that reads text.
        """
        if self.net.encoder is None:
            raise MusicZooError("This model reads ABC text, and has no encoder.")
        rows = [self.representation.music_rows(piece) for piece in pieces]
        known = [row[:, 1:] for row in rows if row is not None]
        # Long ones first, and pieces of one batch alike.
        waiting = sorted(range(len(known)), key=lambda number: len(known[number]))
        width = self.net.encoder.config.hidden
        found = torch.zeros(len(known), self.config.segments, width)
        while waiting:
            count = max(1, _ROWS // len(known[waiting[-1]]))
            taken, waiting = waiting[-count:], waiting[:-count]
            owners = torch.cat(
                [torch.full((len(known[one]),), place) for place, one in enumerate(taken)]
            )
            music = torch.cat([known[number] for number in taken])
            with evaluating(self.net):
                features = self.net.features(
                    music.to(self.device), owners.to(self.device), len(taken)
                )
            found[taken] = features.float().cpu()
        return found

    def answer(
        self, pieces: Sequence[Tune | ScoreTick], questions: Sequence[str], **options: Any
    ) -> list[str]:
        """One answer a pair of piece and question, in order, all in one batch.

        Args:
            pieces: Tunes or symusic scores; each distinct one is read once.
            questions: As many.
            options: Of :meth:`generate`.

        Raises:
            MusicZooError: Different numbers, a piece without notes, or a question that is empty or
                too long.
        """
        if len(pieces) != len(questions):
            raise MusicZooError(
                f"{len(pieces)} pieces and {len(questions)} questions are no pairs.",
                remedy="Give a piece for each question.",
            )
        prompts = [Asked(*pair) for pair in zip(pieces, questions, strict=True)]
        return [result.text for result in self.generate(prompts, **options)]

    def _sampled(
        self,
        prompts: Sequence[Asked | Tensor],
        seeds: Sequence[int],
        *,
        sampling: Sampling,
        max_length: int | None,
        batch_size: int | None,
        guard: TokenGuard | None,
        on_progress: OnProgress | None,
        max_new_tokens: int | None = None,
        min_new_tokens: int = 0,
    ) -> Iterator[tuple[int, Generated]]:
        rows = rows_of_prompts(prompts, self.representation)
        embedded = embedded_prompts(self, rows)
        text = self.representation.text
        new = _ANSWER_TOKENS if max_new_tokens is None and max_length is None else max_new_tokens
        sampler = TokenSampler(
            self.net.lm,
            sampling,
            TokenLimits(self.lm_positions, max_length, new, min_new_tokens),
            slots=batch_size or 64,
            end=self.representation.end,
            guard=guard,
            on_tokens=on_progress and (lambda number, ids: on_progress(number, text(ids))),
        )
        for number, sequence in sampler.run(embedded, seeds):
            yield number, self._result(rows[number], sequence)

    def _result(self, prompt: Tensor, sequence: Sampled) -> Generated:
        rows = torch.cat([prompt, rows_of(sequence.tokens, ANSWER)])
        before = len(prompt)
        log_probs = torch.cat([torch.zeros(before), sequence.log_probs])
        return Generated(
            piece=None,
            text=self.representation.text(sequence.tokens),
            tokens=rows,
            log_probs=log_probs,
            scored=torch.arange(len(rows)) >= before,
            stop=sequence.stop,
        )

    def conditioning(self) -> dict[str, Any]:
        """The template that questions are written in."""
        return {"template": asdict(self.representation.template)}
