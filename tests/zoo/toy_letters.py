"""An architecture as someone else's package would bring it: letters of ABC, one after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from musiczoo.hub import Architecture
from musiczoo.models.base import Batch, Generated, GenerativeModule, TokenLogProbs
from musiczoo.models.base.config import ModelConfig
from musiczoo.models.sampling import Sampling
from musiczoo.music.abc import Tune, read_abc, write_abc

END = 0

ROW = Architecture(
    name="toy_letters",
    module="tests.zoo.toy_letters:ToyModule",
    representation={"letters": "tests.zoo.toy_letters:Letters"},
    writes="text",
    summary="a recurrent net over letters",
)


class Letters:
    """ABC as its bytes."""

    max_length = 96
    vocabulary = ()

    def encode(
        self, piece: Tune, *, max_length: int | None = None, rng: random.Random | None = None
    ) -> Tensor:
        return self.encode_text(write_abc(piece))[: max_length or self.max_length]

    def encode_text(self, text: str) -> Tensor:
        return torch.tensor([*text.encode("ascii", "replace"), END])

    def decode(self, encoded: Tensor) -> Tune:
        return read_abc(self.text(encoded))

    def text(self, encoded: Tensor) -> str:
        return bytes(encoded.tolist()).decode("ascii").rstrip("\0")

    def collate(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        lengths = torch.tensor([len(item) for item in encoded])
        return {"ids": pad_sequence(list(encoded), batch_first=True), "lengths": lengths}

    def to_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**config)


@dataclass(frozen=True)
class ToyConfig(ModelConfig):
    width: int = 16


class ToyNet(nn.Module):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(128, config.width)
        self.cells = nn.GRU(config.width, config.width, batch_first=True)
        self.output = nn.Linear(config.width, 128)

    def forward(self, ids: Tensor) -> Tensor:
        return self.output(self.cells(self.embedding(ids))[0])


class ToyModule(GenerativeModule):
    """A net in a few lines."""

    architecture: ClassVar[str] = "toy_letters"
    config_type = ToyConfig
    representation_type = Letters
    writes = "text"
    prompt_kinds = ("text",)

    def __init__(
        self, config: ToyConfig | None = None, *, representation: Any = None, **settings: Any
    ) -> None:
        sizes = ToyConfig.from_settings(config, settings)
        super().__init__(**settings)
        self.config = sizes
        self.net = ToyNet(sizes)
        self.representation = representation or Letters()
        self._keep_settings()

    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        logits = self.net(batch["ids"][:, :-1]) / temperature
        targets = batch["ids"][:, 1:]
        values = logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
        mask = torch.arange(1, batch["ids"].shape[1]) < batch["lengths"][:, None]
        return TokenLogProbs(values * mask, mask)

    def reference_batch(self) -> dict[str, Tensor]:
        return self.representation.collate(
            [self.representation.encode_text(x) for x in ("AB", "C")]
        )

    def _sampled(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        sampling: Sampling,
        max_length: int | None,
        batch_size: int | None,
        guard: Any,
        on_progress: Any,
    ) -> Iterator[tuple[int, Generated]]:
        for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            ids = self.representation.encode_text(prompt or "X")[:-1].tolist()
            begin, log_probs = len(ids), [0.0] * len(ids)
            generator = torch.Generator().manual_seed(seed)
            while len(ids) < (max_length or 40) and (len(ids) == begin or ids[-1] != END):
                row = self.net(torch.tensor([ids]))[0, -1].log_softmax(-1)
                ids.append(int(torch.multinomial(row.exp(), 1, generator=generator)))
                log_probs.append(float(row[ids[-1]]))
            tokens = torch.tensor(ids)
            yield (
                number,
                Generated(
                    None,
                    self.representation.text(tokens),
                    tokens,
                    torch.tensor(log_probs),
                    torch.arange(len(ids)) >= begin,
                    "end" if ids[-1] == END else "max_length",
                ),
            )
