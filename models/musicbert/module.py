"""MusicBERT on Lightning: pre-training, and features of pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.pretrained import start_from
from musiczoo.models.musicbert.config import SIZES, MusicBertConfig
from musiczoo.models.musicbert.masking import MaskedOctuples
from musiczoo.models.musicbert.net import MusicBertNet
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple import OctupleMidi

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    from musiczoo.music.abc import Tune

# What a download is checked with.
_REFERENCE = "M:3/4\nL:1/8\nK:Gm\nG2 ^F2 G2|A3 B c2-|c2 B4|"
# Rows of a batch of features at most.
_ROWS = 4096


class MusicBertModule(ZooModule):
    r"""MusicBERT (Zeng et al. 2021, arXiv 2106.05630).

    >>> from musiczoo.models.musicbert import MusicBertModule
    >>> from musiczoo.music.abc import read_abc
    >>> model = MusicBertModule(layers=1, hidden=32, heads=2, positions=130)
    >>> model.features([read_abc("L:1/8\nM:4/4\nK:G\nGABc d2 B2|")]).shape  # (pieces, hidden)
    torch.Size([1, 32])

    Args:
        config: The sizes. Single ones may be given by their names instead (``hidden=512``).
        size: ``"small"``, ``"base"`` or another of the published code's sizes.
        pretrained: What to start from: a checkpoint of fairseq, or a name for
            :func:`musiczoo.load`. Its sizes are taken.
        representation: The octuples; those that fit the positions when None.
        lora: Train an adapter beside the frozen weights, with these settings; None trains all
            weights.
        settings: Of :class:`musiczoo.models.base.ZooModule`; the objective is
            :class:`MaskedOctuples` when none is given.

    Raises:
        MusicZooError: A size that does not exist, or weights that cannot be used.
    """

    architecture: ClassVar[str] = "musicbert"
    config_type = MusicBertConfig
    representation_type = OctupleMidi
    length_unit = "note"
    lora_targets = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
    net: MusicBertNet
    config: MusicBertConfig
    representation: OctupleMidi

    def __init__(
        self,
        config: MusicBertConfig | None = None,
        *,
        size: str | None = None,
        pretrained: str | None = None,
        representation: OctupleMidi | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        sizes = MusicBertConfig.from_settings(config, settings)
        super().__init__(**settings)
        self.objective = self.objective or MaskedOctuples()
        if size is not None:
            if size not in SIZES:
                raise MusicZooError(
                    f"There is no size {size!r}.", remedy=f"Choose one of {', '.join(SIZES)}."
                )
            sizes = SIZES[size].with_dropouts_of(sizes)
        stored = None
        if pretrained is None:
            self.config, self.net = sizes, MusicBertNet(sizes)
        else:
            stored = start_from(self, MusicBertNet, sizes, pretrained)
        longest = min(1002, self.config.positions - 2)
        self.representation = representation or stored or OctupleMidi(longest)
        self._keep_settings()
        if lora is not None:
            self.add_lora(lora, self.seed)

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short pieces of different length."""
        ids = self.representation.encode(read_abc(_REFERENCE))
        return self.representation.collate([ids, ids[:5]])

    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``hidden`` (rows of all sequences, width), and the ``logits`` of the first row of all."""
        ids, lengths = batch["ids"], batch["lengths"]
        with torch.no_grad():
            rows = self.net.rows(ids, lengths)
            chosen = torch.zeros(len(rows), ids.shape[2], dtype=torch.bool, device=ids.device)
            chosen[0] = True
            logits = self.net.logits(rows, chosen)
        return {"hidden": rows.float(), "logits": logits}

    def features(self, pieces: Sequence[Tune | ScoreTick]) -> Tensor:
        """One vector a piece: the mean of the hidden states of its notes, un-normalised.

        A piece longer than the context is cut into windows. A row does not depend on the other
        pieces.

        Args:
            pieces: Tunes or symusic scores.

        Returns:
            (pieces, hidden), float32, on the CPU, without gradient.

        Raises:
            MusicZooError: A piece that holds no note.
        """
        notes = self.representation.max_length - 2
        parts = [
            (number, window)
            for number, piece in enumerate(pieces)
            for window in self.representation.windows(piece, notes, notes)
        ]
        # Windows of similar length together, so that little of a batch is padding.
        parts.sort(key=lambda part: len(part[1]))
        sums = torch.zeros(len(pieces), self.config.hidden, dtype=torch.float64)
        counts = torch.zeros(len(pieces), 1, dtype=torch.float64)
        while parts:
            count = max(1, _ROWS // len(parts[-1][1]))
            taken, parts = parts[-count:], parts[:-count]
            batch = self.representation.collate([window for _, window in taken])
            with evaluating(self.net):
                rows = self.net.rows(batch["ids"].to(self.device), batch["lengths"])
            for (number, window), states in zip(
                taken, rows.cpu().double().split(batch["lengths"].tolist()), strict=True
            ):
                # The states of <s> and </s> are no notes'.
                sums[number] += states[1:-1].sum(dim=0)
                counts[number] += len(window) - 2
        return (sums / counts).float()
