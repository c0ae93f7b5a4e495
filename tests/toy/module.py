"""The toy net on Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.generative import Generated, GenerativeModule, OnProgress
from musiczoo.models.base.objective import Batch, TokenLogProbs
from musiczoo.models.base.pretrained import start_from
from musiczoo.models.sampling import Sampling, distribution, draw
from musiczoo.music.errors import MusicZooError
from tests.toy.config import ToyConfig
from tests.toy.melody import BOS, EOS, Melody
from tests.toy.net import ToyNet


class ToyModule(GenerativeModule):
    """A recurrent net that writes one voice.

    Args:
        config: The sizes.
        pretrained: Weights to start from.
        representation: Its tokens.
        lora: Settings of an adapter.
        gradient_checkpointing: There is nothing to compute again; kept because all modules have it.
        settings: Of the base.
    """

    architecture: ClassVar[str] = "toy"
    config_type = ToyConfig
    representation_type = Melody
    writes = "notation"
    prompt_kinds = ("text", "tokens")
    length_unit = "token"
    unit = "token"
    lora_targets = ("output",)
    generate_options: ClassVar[Mapping[str, str]] = {
        "first": "a letter that every piece begins with"
    }
    config: ToyConfig
    representation: Melody

    def __init__(
        self,
        config: ToyConfig | None = None,
        *,
        pretrained: str | None = None,
        representation: Melody | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> None:
        sizes = ToyConfig.from_settings(config, settings)
        super().__init__(**settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            stored = None
            if pretrained is None:
                self.config, self.net = sizes, ToyNet(sizes)
            else:
                stored = start_from(self, ToyNet, sizes, pretrained)
        self.representation = representation or stored or Melody(self.config.positions)
        self._keep_settings(gradient_checkpointing=gradient_checkpointing)
        if lora is not None:
            self.add_lora(lora, self.seed)

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short pieces of different length."""
        encode = self.representation.encode_text
        return self.representation.collate([encode("CDEF|GABc"), encode("ccz")])

    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        """(batch, longest - 1) values and mask."""
        place = torch.arange(1, batch["ids"].shape[1], device=batch["ids"].device)
        mask = place < batch["lengths"].unsqueeze(1)
        scores = self.log_distribution(batch, temperature)
        values = scores.gather(2, batch["ids"][:, 1:].unsqueeze(2)).squeeze(2)
        return TokenLogProbs(values * mask, mask)

    def log_distribution(self, batch: Batch, temperature: float = 1.0) -> Tensor:
        """(batch, longest - 1, tokens)."""
        place = torch.arange(1, batch["ids"].shape[1], device=batch["ids"].device)
        logits, _ = self.net(batch["ids"][:, :-1])
        mask = place < batch["lengths"].unsqueeze(1)
        scores = torch.log_softmax(logits.float() / temperature, dim=-1)
        return scores * mask.unsqueeze(2)

    def _sampled(
        self,
        prompts: Sequence[Tensor | str],
        seeds: Sequence[int],
        *,
        sampling: Sampling,
        max_length: int | None,
        batch_size: int | None,
        guard: Any,
        on_progress: OnProgress | None,
        first: str = "",
    ) -> Iterator[tuple[int, Generated]]:
        if guard is not None:
            raise MusicZooError("There are no guards.", where="guard")
        size = batch_size or len(prompts)
        longest = min(max_length or self.config.positions, self.config.positions)
        encoded = [self._prompt(prompt, first, longest) for prompt in prompts]
        for begin in range(0, len(prompts), size):
            rows = [
                _Row(number, encoded[number], seeds[number])
                for number in range(begin, min(begin + size, len(prompts)))
            ]
            yield from self._together(rows, sampling, longest, on_progress)

    def _together(
        self,
        rows: list[_Row],
        sampling: Sampling,
        longest: int,
        on_progress: OnProgress | None,
    ) -> Iterator[tuple[int, Generated]]:
        while rows:
            # (rows, tokens): the last logits of each row, computed alone so that a row does not
            # depend on the others.
            logits = torch.cat([self.net(torch.tensor([row.ids]))[0][:, -1] for row in rows])
            scores = torch.log_softmax(logits / (sampling.temperature or 1.0), dim=-1)
            uniforms = torch.cat([row.uniform() for row in rows])
            drawn = draw(distribution(logits, sampling), uniforms).tolist()
            running = []
            for row, token, score in zip(rows, drawn, scores, strict=True):
                stop = row.read(token, float(score[token]), longest)
                text = self.representation.text(row.ids)
                if stop is None and on_progress and on_progress(row.number, text) is False:
                    stop = "cancelled"
                if stop is None:
                    running.append(row)
                else:
                    yield row.number, self._result(row, stop)
            rows = running

    def _prompt(self, prompt: Tensor | str, first: str, longest: int) -> list[int]:
        ids = (
            self.representation.encode_text(prompt.strip() or first)
            if isinstance(prompt, str)
            else prompt
        ).tolist()
        if len(ids) >= longest:
            raise MusicZooError(f"A prompt of {len(ids)} tokens leaves no room in {longest}.")
        return ids or [BOS]

    def _result(self, row: _Row, stop: Any) -> Generated:
        tokens = torch.tensor(row.ids)
        piece, error = None, None
        try:
            piece = self.representation.decode(tokens)
        except MusicZooError as problem:
            error = problem
        return Generated(
            piece=piece,
            text=self.representation.text(tokens),
            tokens=tokens,
            log_probs=torch.tensor(row.log_probs),
            scored=torch.arange(len(tokens)) >= row.begun_at,
            stop=stop,
            error=error,
        )


class _Row:
    """A piece under generation.

    Args:
        number: Of its prompt.
        ids: Its tokens so far.
        seed: Of its random numbers.
    """

    def __init__(self, number: int, ids: list[int], seed: int) -> None:
        self.number = number
        self.ids = list(ids)
        self.begun_at = len(ids)
        self.log_probs = [0.0] * len(ids)
        self._random = torch.Generator().manual_seed(seed)

    def uniform(self) -> Tensor:
        """(1,) float64, the next random number."""
        return torch.rand(1, dtype=torch.float64, generator=self._random)

    def read(self, token: int, score: float, longest: int) -> str | None:
        """Reads a token; why the piece has ended, None while it has not."""
        self.ids.append(token)
        self.log_probs.append(score)
        if token == EOS:
            return "end"
        return "max_length" if len(self.ids) >= longest else None
