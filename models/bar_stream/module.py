"""The bar-stream patch decoder on Lightning."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from musiczoo.models.adapters import LoRA
from musiczoo.models.bar_stream.config import SIZES, BarStreamConfig
from musiczoo.models.bar_stream.generation import BarStreamGenerator
from musiczoo.models.bar_stream.net import BarStreamNet
from musiczoo.models.bar_stream.stream import Guard, Stream
from musiczoo.models.base.generative import Generated, GenerativeModule, OnProgress
from musiczoo.models.base.objective import Batch, TokenLogProbs
from musiczoo.models.base.pretrained import start_from
from musiczoo.models.base.sharding import block_units, shard
from musiczoo.models.prompts import Prompt, checked_labels, merged_prompts
from musiczoo.models.reference_music import REFERENCE_BARS
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.bar_stream import BarStreamPatches, prompt_lines

if TYPE_CHECKING:
    from musiczoo.models.bar_stream.continuation import Continued
    from musiczoo.models.bar_stream.opening import Score

# What a download is checked with: header lines with labels, then three bars of two voices.
_HEADER = "%Baroque\n%Anonymous\n%Keyboard\n%%score { 1 | 2 }\nL:1/8\nM:3/4\n"
_REFERENCE = _HEADER + REFERENCE_BARS
_COUNTER = re.compile(r"\[r:(\d+)/(\d+)\]")


class BarStreamModule(GenerativeModule):
    """NotaGen's architecture (Wang et al. 2025, arXiv 2502.18008): training, scoring, generation.

    Prompts of :meth:`generate` are labels (:class:`Labels`, or an entry of ``module.prompts``), or
    interleaved ABC text: comment lines with labels, other header lines, bars. Empty text starts
    from nothing. Lengths are patches, four contexts at most by default: beyond the context,
    generation continues with the header and the later half of the bars. ``tokens`` of a result is
    (patches, patch_size) uint8; ``log_probs`` and ``scored`` have the same shape.

    Attributes:
        prompts: The labels that the weights were trained with; empty when there are none or they
            are not known.

    Args:
        config: The sizes. Single ones may be given by their names instead (``hidden=512``).
        size: ``"small"``, ``"medium"`` or ``"large"``: NotaGen's sizes.
        pretrained: What to start from: a weights file in NotaGen's layout, a checkpoint of this
            module, or a name that :func:`musiczoo.load` takes. Its sizes are taken.
        representation: The patches; those of the sizes when None.
        lora: Train an adapter beside the frozen weights, with these settings; None trains all
            weights.
        gradient_checkpointing: Compute the blocks again in the backward pass instead of keeping
            what they computed: less memory, more time.
        settings: Of :class:`musiczoo.models.base.ZooModule`.

    Raises:
        MusicZooError: A size that does not exist, weights that cannot be used, or patches of
            another size than the net's.
    """

    architecture: ClassVar[str] = "bar_stream"
    config_type = BarStreamConfig
    representation_type = BarStreamPatches
    writes = "notation"
    prompt_kinds = ("labels", "text")
    length_unit = "patch"
    # The layers that are called as layers in training and in generation alike; embeddings are read
    # as tables.
    lora_targets = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    # Part of the published layout, read by nothing.
    unused_parameters = ("patch_level_decoder.base.wte.weight",)
    generate_options: ClassVar[Mapping[str, str]] = {
        "new_labels": "take labels that the checkpoint was not trained with; text is not checked",
        "start_at_first_bar": "make the piece begin with its first bar, as NotaGen does",
        "draft": "characters guessed ahead; None lets the machine decide, 0 guesses none; the "
        "result is the same",
        "half_weights": "read float16 copies of the weights on a CPU: faster, and equal "
        "except for the last digits",
    }
    net: BarStreamNet
    config: BarStreamConfig
    representation: BarStreamPatches

    def __init__(
        self,
        config: BarStreamConfig | None = None,
        *,
        size: str | None = None,
        pretrained: str | None = None,
        representation: BarStreamPatches | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> None:
        sizes = BarStreamConfig.from_settings(config, settings)
        super().__init__(**settings)
        if size is not None:
            if size not in SIZES:
                raise MusicZooError(
                    f"There is no size {size!r}.", remedy=f"Choose one of {', '.join(SIZES)}."
                )
            sizes = SIZES[size].with_dropouts_of(sizes)
        self.prompts: tuple[Prompt, ...] = ()
        stored = None
        if pretrained is None:
            self.config, self.net = sizes, BarStreamNet(sizes)
        else:
            stored = start_from(self, BarStreamNet, sizes, pretrained)
            sizes = self.config
        self.representation = (
            representation
            or stored
            or BarStreamPatches(patch_size=sizes.patch_size, max_length=sizes.patch_length)
        )
        if self.representation.patch_size != sizes.patch_size:
            raise MusicZooError(
                "The representation does not fit the net.",
                remedy="It must give bar-stream patches of the net's size.",
            )
        self._keep_settings(gradient_checkpointing=gradient_checkpointing)
        self.net.set_gradient_checkpointing(gradient_checkpointing)
        if lora is not None:
            self.add_lora(lora, self.seed)

    @classmethod
    def from_notagen(cls, path: str | Path, **settings: Any) -> Self:
        """A module with the weights of a file in NotaGen's layout, in eval mode.

        Raises:
            MusicZooError: The file cannot be used; see
                :func:`musiczoo.models.bar_stream.published.read_published`.
        """
        return cls(pretrained=str(path), **settings).eval()

    def conditioning(self) -> dict[str, Any]:
        """The labels that the weights were trained with."""
        rows = [[one.period, one.composer, one.instrumentation, one.count] for one in self.prompts]
        return {"prompts": rows} if rows else {}

    def load_conditioning(self, record: Mapping[str, Any]) -> None:
        """Loads a record of :meth:`conditioning`."""
        self.prompts = merged_prompts((), record.get("prompts", ()))

    def add_conditioning(self, record: Mapping[str, Any]) -> None:
        """Adds the labels of the data of a fit."""
        self.prompts = merged_prompts(self.prompts, record.get("prompts", ()))

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short texts of different length, as far as they fit the context."""
        lines = _REFERENCE.splitlines()
        texts = ("\n".join(lines), "\n".join(lines[3:-2]))
        return self.representation.collate([self.representation.encode_text(t) for t in texts])

    def configure_model(self) -> None:
        """Shards the net, block by block, where the strategy has a device mesh.

        Raises:
            MusicZooError: See :func:`musiczoo.models.base.sharding.shard`.
        """
        stacks = self.net.patch_level_decoder.base, self.net.char_level_decoder.transformer
        shard(self, [unit for stack in stacks for unit in block_units(stack)])

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

    def _sampled(
        self,
        prompts: Sequence[str | Labels | Prompt],
        seeds: Sequence[int],
        *,
        sampling: Sampling,
        max_length: int | None,
        batch_size: int | None,
        guard: Guard | None,
        on_progress: OnProgress | None,
        new_labels: bool = False,
        start_at_first_bar: bool = True,
        draft: int | None = None,
        half_weights: bool = False,
    ) -> Iterator[tuple[int, Generated]]:
        asked = [
            None if isinstance(prompt, str) else checked_labels(prompt, self.prompts, new_labels)
            for prompt in prompts
        ]
        texts = [
            str(prompt) if labels is None else _prompt_text(labels)
            for prompt, labels in zip(prompts, asked, strict=True)
        ]
        encode = self.representation.encode_text
        encoded = [encode(text, annotate=False, end=False) for text in texts]
        loop = BarStreamGenerator(
            self.net,
            sampling,
            max_length=max_length or 4 * self.config.patch_length,
            slots=min(batch_size or 16, len(prompts)),
            guard=guard,
            start_at_first_bar=start_at_first_bar,
            draft=draft,
            half_weights=half_weights,
            on_progress=on_progress,
        )
        for running in loop.run(encoded, texts, seeds):
            for stream in running:
                if stream.stop is not None:
                    yield stream.index, self._result(stream, asked[stream.index])

    def fraction(self, text: str) -> float | None:
        """The share of a piece, from the bar counter ``[r:i/j]`` of its last line."""
        found = _COUNTER.match(text.rstrip().rpartition("\n")[2])
        return (int(found[1]) + 1) / (int(found[1]) + int(found[2]) + 1) if found else 0.0

    def guard_for(
        self, *, align: bool, meter: bool, min_bars: int | None, max_bars: int | None
    ) -> Guard | None:
        """The guards of :mod:`musiczoo.models.bar_stream.guards`; see the base class."""
        from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guards

        guards: list[Guard] = [BarDurations(meter=meter)] if align or meter else []
        if min_bars is not None or max_bars is not None:
            low = min_bars or 1
            guards.append(Countdown(low, max(low, 1000) if max_bars is None else max_bars))
        return Guards(guards) if guards else None

    def training_item(self, result: Generated, rng: random.Random | None = None) -> Tensor:
        """The generated text as patches: with its prompt and its bar counters.

        Without the rests that it left out, as in the published code.
        """
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
        guard: Guard | Literal["aligned"] | None = "aligned",
        new_labels: bool = False,
        **options: Any,
    ) -> list[Continued]:
        """Continues scores, each in its own voices and under its own header.

        Args:
            scores: Tunes, symusic scores, or paths of files in any format that
                :func:`musiczoo.music.read` opens. All have the same number of bars in every voice.
                Of an opening longer than the context the model sees the end.
            bars: Keep this number of bars of each score as the opening; None keeps all.
            labels: What to condition on; None leaves the prompt lines of the score, if it has any.
            sampling: The cuts; :attr:`sampling` by default.
            max_length: Patches of a piece at most, the opening included; four contexts by default.
            generator: Source of randomness; torch's default generator when None.
            min_bars: Bars of the whole piece at least, the opening included; one more than that by
                default.
            max_bars: Bars of the whole piece at most. The model chooses within the limits.
            guard: What may be generated; ``"aligned"``: the voices of each new bar have one length.
                None leaves the model free, and then a piece may result that cannot be read.
            new_labels: Take labels that the checkpoint was not trained with.
            options: Of :meth:`generate`.

        Returns:
            One result a score, in order; see
            :class:`musiczoo.models.bar_stream.continuation.Continued`.

        Raises:
            MusicZooError: A score that cannot be read or continued, labels that ``module.prompts``
                does not list, or limits without room.
        """
        from musiczoo.models.bar_stream.continuation import ALIGNED, Limits, continue_pieces

        checked = None if labels is None else checked_labels(labels, self.prompts, new_labels)
        return continue_pieces(
            self,
            scores,
            bars,
            checked,
            sampling,
            max_length,
            generator,
            limits=Limits(min_bars, max_bars),
            guard=ALIGNED if isinstance(guard, str) else guard,
            **options,
        )

    def _result(self, stream: Stream, labels: Labels | None) -> Generated:
        size = self.config.patch_size
        tokens = torch.zeros(len(stream.patches), size, dtype=torch.uint8)
        log_probs = torch.zeros(len(stream.patches), size)
        scored = torch.zeros(len(stream.patches), size, dtype=torch.bool)
        for row, patch in enumerate(stream.patches):
            tokens[row, : len(patch)] = torch.tensor(patch, dtype=torch.uint8)
        for row, values in enumerate(stream.log_probs, start=stream.prompt_length):
            log_probs[row, : len(values)] = torch.tensor(values)
            scored[row, : len(values)] = True
        assert stream.stop is not None
        text = self.representation.decode_text(tokens)
        piece, error = None, None
        try:
            piece = self.representation.decode(tokens)
        except MusicZooError as reason:
            error = reason
        return Generated(piece, text, tokens, log_probs, scored, stream.stop, error, labels)


def _prompt_text(labels: Labels) -> str:
    lines = prompt_lines(labels.period, labels.composer, labels.instrumentation)
    return "".join(f"{line}\n" for line in lines)
