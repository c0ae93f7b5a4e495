"""The bar-stream patch decoder on Lightning."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from musiczoo.models.adapters import LoRA
from musiczoo.models.bar_stream.continuation import ALIGNED, Continued, continue_pieces
from musiczoo.models.bar_stream.generation import BarStreamGenerator, Guard, OnBar, Stream
from musiczoo.models.bar_stream.net import SIZES, BarStreamConfig, BarStreamNet
from musiczoo.models.bar_stream.published import load_net
from musiczoo.models.base.generative import (
    Batch,
    Generated,
    GenerativeModule,
    Objective,
    OptimizerFactory,
    Prompt,
    TokenLogProbs,
)
from musiczoo.models.base.sharding import block_units, refuse_shards, shard
from musiczoo.models.prompts import checked_labels
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.bar_stream import BarStreamPatches, prompt_lines

if TYPE_CHECKING:
    from musiczoo.models.bar_stream.continuation import Score

# What a download is checked with: header lines with labels, then three bars of two voices.
_REFERENCE = """%Baroque
%Anonymous
%Keyboard
%%score { 1 | 2 }
L:1/8
M:3/4
K:Gm
V:1 treble nm="Piano"
V:2 bass
[V:1]G2 ^F2 G2|[V:2]G,4 D2|
[V:1]A3 B c2-|[V:2]F,2 E,2 D,2|
[V:1]c2 B4|[V:2]G,6|
"""


class BarStreamModule(GenerativeModule):
    """NotaGen's architecture (Wang et al. 2025, arXiv 2502.18008) for ``Trainer.fit``, scoring and generation.

    Args:
        patch_layers: Layers of the patch decoder.
        char_layers: Layers of the character decoder.
        hidden: Width of both decoders.
        patch_size: Characters a patch.
        patch_length: Patches of context.
        dropout: Dropout of residuals, embeddings and attention.
        heads: Attention heads; 0 means hidden / 64.
        size: ``"small"``, ``"medium"`` or ``"large"``: NotaGen's sizes instead of the numbers
            above.
        pretrained: What to start from: a weights file in NotaGen's layout, a checkpoint of this
            module, or a name that :func:`musiczoo.load` takes; its sizes replace the numbers above.
        lora: Train an adapter beside the frozen weights, with these settings; None trains all
            weights.
        gradient_checkpointing: Compute the blocks again in the backward pass instead of keeping
            what they computed: less memory, more time.
        objective: The loss; next-token likelihood when None.
        optimizer: Makes the optimiser; AdamW at 1e-4, weight decay 0.01, when None.
        warmup_steps: Steps of linear warm-up to a constant rate.
        cooldown_steps: Last steps of ``Trainer(max_steps=...)``, in which the rate falls linearly
            to zero.
        seed: Seed of dropout.
    """

    architecture: ClassVar[str] = "bar_stream"
    net: BarStreamNet
    representation: BarStreamPatches
    # The layers that are called as layers in training and in generation alike; embeddings are read
    # as tables.
    lora_targets = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    # Part of the published layout, read by nothing.
    unused_parameters: ClassVar[tuple[str, ...]] = ("patch_level_decoder.base.wte.weight",)

    def __init__(
        self,
        patch_layers: int = 12,
        char_layers: int = 3,
        hidden: int = 768,
        patch_size: int = 16,
        patch_length: int = 2048,
        dropout: float = 0.1,
        heads: int = 0,
        size: str | None = None,
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
        config = BarStreamConfig(
            patch_layers, char_layers, hidden, patch_size, patch_length, dropout, heads
        )
        if size is not None:
            if size not in SIZES:
                raise MusicZooError(
                    f"There is no size {size!r}.", remedy=f"Choose one of {', '.join(SIZES)}."
                )
            config = replace(SIZES[size], dropout=dropout)
        self.net = BarStreamNet(config) if pretrained is None else self._open(pretrained)
        if pretrained is not None:
            self.source = pretrained
            self._set_dropout(dropout)
            config = self.net.config
        if not hasattr(self, "representation"):
            self.representation = BarStreamPatches(
                patch_size=config.patch_size, max_length=config.patch_length
            )
        # Plain numbers only, with the sizes found out: a checkpoint must open without executing
        # anything and without the file of before.
        own = {
            "warmup_steps": warmup_steps,
            "cooldown_steps": cooldown_steps,
            "seed": seed,
            "gradient_checkpointing": gradient_checkpointing,
        }
        self.save_hyperparameters({**config.to_dict(), **own})
        self.net.set_gradient_checkpointing(gradient_checkpointing)
        if lora is not None:
            self.add_lora(lora, seed)

    @classmethod
    def from_notagen(cls, path: str | Path, **settings: Any) -> Self:
        """A module with the weights of a file in NotaGen's layout (or of a checkpoint of this module), in eval mode.

        Raises:
            MusicZooError: The file cannot be used; see
                :func:`musiczoo.models.bar_stream.published.load_net`.
        """
        return cls(pretrained=str(path), **settings).eval()

    def to_config(self) -> dict[str, Any]:
        """The sizes of the two decoders."""
        return self.net.config.to_dict()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], representation: Any, **settings: Any) -> Self:
        """A module of these sizes with untrained weights.

        Args:
            config: Sizes, as :meth:`to_config` gives them.
            representation: Bar-stream patches of the same ``patch_size``.
            settings: Of the constructor; they win over ``config``.

        Raises:
            MusicZooError: The patches of the representation have another size than the net's.
        """
        module = cls(**{**config, **settings})
        if (
            not isinstance(representation, BarStreamPatches)
            or representation.patch_size != module.net.config.patch_size
        ):
            raise MusicZooError(
                "The representation does not fit the net.",
                remedy="It must give bar-stream patches of the net's size.",
            )
        module.representation = representation
        return module

    def reference_batch(self) -> dict[str, torch.Tensor]:
        """Two short texts of different length, as far as they fit the context."""
        lines = _REFERENCE.splitlines()
        texts = ("\n".join(lines), "\n".join(lines[3:-2]))
        return self.representation.collate(
            [self.representation.encode_text(text) for text in texts]
        )

    def _open(self, pretrained: str) -> BarStreamNet:
        """The net of a file.

        Or that of a name, of which the module takes over the representation, the prompts and the
        record too.
        """
        if Path(pretrained).is_file():
            return load_net(pretrained)
        from musiczoo.hub.loading import load

        other = load(pretrained)
        if not isinstance(other, BarStreamModule):
            raise MusicZooError(
                f"{pretrained} is a model of another architecture.", where="pretrained"
            )
        self.representation, self.loaded_from = other.representation, other.loaded_from
        self.take_record(other.record())
        return other.net

    def _set_dropout(self, dropout: float) -> None:
        self.net.config = replace(self.net.config, dropout=dropout)
        for part in self.net.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = dropout
        for stack in (self.net.patch_level_decoder.base, self.net.char_level_decoder.transformer):
            stack.config.attn_pdrop = dropout

    def configure_model(self) -> None:
        """Shards the net, block by block, where the strategy has a device mesh.

        Raises:
            MusicZooError: See :func:`musiczoo.models.base.sharding.shard`.
        """
        shard(
            self,
            [
                *block_units(self.net.patch_level_decoder.base),
                *block_units(self.net.char_level_decoder.transformer),
            ],
        )

    def on_fit_start(self) -> None:
        """Nets opened from a file come in eval mode, and Lightning would keep them so."""
        super().on_fit_start()
        self.net.train()

    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        """Log-probabilities of every character after the begin patch.

        Args:
            batch: ``patches`` (batch, longest, patch_size) and ``lengths`` (batch,), as the
                representation collates.
            temperature: Divides the logits.

        Returns:
            Values and mask of shape (batch, (longest - 1) * patch_size).
        """
        values, mask = self.net(batch["patches"], batch["lengths"], temperature)
        return TokenLogProbs(values, mask)

    def generate(
        self,
        prompts: Sequence[str | Labels | Prompt],
        sampling: Sampling | None = None,
        max_length: int | None = None,
        generator: torch.Generator | None = None,
        *,
        batch_size: int = 16,
        guard: Guard | None = None,
        new_labels: bool = False,
        start_at_first_bar: bool = True,
        draft: int | None = None,
        half_weights: bool = False,
        on_bar: OnBar | None = None,
        progress: bool = False,
        **options: Any,
    ) -> list[Generated]:
        """Continues prompts of header lines, or of header lines and bars.

        Args:
            prompts: Labels each (:class:`Labels`, or an entry of ``module.prompts``); or
                interleaved ABC text: comment lines with labels, other header lines, bars. Empty
                text starts from nothing.
            sampling: The cuts; :attr:`sampling` by default, which is NotaGen's where the checkpoint
                brings none.
            max_length: Patches of a piece at most, prompt included; four contexts by default.
                Beyond the context, generation goes on with the header and the later half of the
                bars.
            generator: Source of randomness; torch's default generator when None.
            batch_size: Pieces at once.
            guard: Steers what may be said (:mod:`musiczoo.models.bar_stream.guards`).
            new_labels: Take labels that the checkpoint was not trained with; text is never checked.
            start_at_first_bar: Force the piece to begin with its first bar, as NotaGen does.
            draft: Characters guessed ahead; None lets the machine decide, 0 switches guessing off.
                The result is the same.
            half_weights: Read float16 copies of the weights, with float32 arithmetic: on a CPU
                faster, and not to the last digit the same.
            on_bar: Called with (piece, bar, line) for each finished bar; returning False cancels
                the piece.
            progress: Show a progress bar.
            options: None; an unknown option is refused by name.

        Returns:
            One result a prompt, in order. ``tokens`` is (patches, patch_size) uint8; ``log_probs``
            and ``scored`` have the same shape.

        Raises:
            MusicZooError: An unknown option, labels that ``module.prompts`` does not list, a prompt
                that cannot be encoded or is too long.
        """
        if options:
            raise MusicZooError(
                f"generate has no option {', '.join(options)}.",
                remedy="See BarStreamModule.generate.",
            )
        if not prompts:
            return []
        refuse_shards(self.net)
        sampling = sampling or self.sampling
        limit = max_length or 4 * self.net.config.patch_length
        asked = [
            None if isinstance(prompt, str) else checked_labels(prompt, self.prompts, new_labels)
            for prompt in prompts
        ]
        texts = [
            str(prompt) if labels is None else _prompt_text(labels)
            for prompt, labels in zip(prompts, asked, strict=True)
        ]
        encoded = [
            self.representation.encode_text(text, annotate=False, end=False) for text in texts
        ]
        seeds = torch.randint(2**62, (len(prompts),), generator=generator).tolist()
        # Inference leaves no mark on the module: dropout is off for the while and the mode comes
        # back.
        training = self.net.training
        self.net.eval()
        try:
            loop = BarStreamGenerator(
                self.net,
                sampling,
                max_length=limit,
                slots=min(batch_size, len(prompts)),
                guard=guard,
                start_at_first_bar=start_at_first_bar,
                draft=draft,
                half_weights=half_weights,
                on_bar=on_bar,
            )
            done: dict[int, Stream] = {}
            with _Progress(progress, len(prompts)) as update:
                for running in loop.run(encoded, texts, seeds):
                    done.update(
                        {stream.index: stream for stream in running if stream.stop is not None}
                    )
                    update(len(done), running)
        finally:
            self.net.train(training)
        return [self._result(done[index], labels) for index, labels in enumerate(asked)]

    def training_item(self, result: Generated, rng: random.Random | None = None) -> torch.Tensor:
        """The generated text as patches: with its prompt and its bar counters, without the rests that it left out (published code)."""
        return self.representation.encode_text(result.text, rng=rng)

    def continue_pieces(
        self,
        scores: Sequence[Score],
        bars: int | None = None,
        labels: Labels | Prompt | None = None,
        sampling: Sampling | None = None,
        max_length: int | None = None,
        generator: torch.Generator | None = None,
        *,
        min_bars: int | None = None,
        max_bars: int | None = None,
        guard: Guard | None = ALIGNED,
        new_labels: bool = False,
        **options: Any,
    ) -> list[Continued]:
        """Goes on from scores, each in its own voices and under its own header.

        Args:
            scores: Tunes, symusic scores, or paths of files in any format that
                :func:`musiczoo.music.read` opens. All have the same number of bars in every voice.
                Of an opening longer than the context the model sees the end.
            bars: Keep so many bars of each score as the opening; None keeps all.
            labels: What to condition on; None leaves the prompt lines of the score, if it has any.
            sampling: The cuts; :attr:`sampling` by default, which is NotaGen's where the checkpoint
                brings none.
            max_length: Patches of a piece at most, the opening included; four contexts by default.
            generator: Source of randomness; torch's default generator when None.
            min_bars: Bars of the whole piece at least, the opening included; one more than that by
                default.
            max_bars: Bars of the whole piece at most. The model chooses within the limits.
            guard: What may be said; by default the voices of each new bar have one length. None
                leaves the model its freedom, and then a piece may come out that cannot be read.
            new_labels: Take labels that the checkpoint was not trained with.
            options: Of :meth:`generate`.

        Returns:
            One result a score, in order; see :class:`Continued`.

        Raises:
            MusicZooError: A score that cannot be read or continued, labels that ``module.prompts``
                does not list, or limits without room.
        """
        checked = None if labels is None else checked_labels(labels, self.prompts, new_labels)
        return continue_pieces(
            self,
            scores,
            bars,
            checked,
            sampling,
            max_length,
            generator,
            min_bars=min_bars,
            max_bars=max_bars,
            guard=guard,
            **options,
        )

    def _result(self, stream: Stream, labels: Labels | None) -> Generated:
        size = self.net.config.patch_size
        tokens = torch.zeros(len(stream.patches), size, dtype=torch.uint8)
        log_probs = torch.zeros(len(stream.patches), size)
        scored = torch.zeros(len(stream.patches), size, dtype=torch.bool)
        for row, patch in enumerate(stream.patches):
            tokens[row, : len(patch)] = torch.tensor(patch, dtype=torch.uint8)
        for row, values in enumerate(stream.log_probs, start=stream.prompt_length):
            log_probs[row, : len(values)] = torch.tensor(values)
            scored[row, : len(values)] = True
        assert stream.stop is not None
        piece, error = None, None
        try:
            piece = self.representation.decode(tokens)
        except MusicZooError as reason:
            error = reason
        return Generated(
            piece,
            self.representation.decode_text(tokens),
            tokens,
            log_probs,
            scored,
            stream.stop,
            error,
            labels,
        )


def _prompt_text(labels: Labels) -> str:
    return "".join(
        f"{line}\n" for line in prompt_lines(labels.period, labels.composer, labels.instrumentation)
    )


class _Progress:
    """A progress bar that knows from ``[r:i/j]`` how far each piece is."""

    def __init__(self, shown: bool, pieces: int) -> None:
        columns = (
            TextColumn("generating"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, disable=not shown)
        self.pieces = pieces

    def __enter__(self) -> Any:
        self.bar.start()
        task = self.bar.add_task("", total=self.pieces, note="")

        def update(done: int, running: list[Stream]) -> None:
            going = [stream for stream in running if stream.stop is None]
            patches, bars = (
                sum(counts)
                for counts in zip(*((len(s.patches), s.bars) for s in running), strict=True)
            )
            note = f"{done}/{self.pieces} pieces, {patches} patches and {bars} bars under way"
            self.bar.update(
                task, completed=done + sum(stream.fraction for stream in going), note=note
            )

        return update

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
