"""MusicBERT's downstream tasks on Lightning: labels of pieces, one or several each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from musiczoo.hub.loading import load
from musiczoo.models.adapters import LoRA
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.objective import Batch, ObjectiveResult
from musiczoo.models.base.pretrained import read_pretrained
from musiczoo.models.musicbert.config import MusicBertConfig
from musiczoo.models.musicbert.module import MusicBertModule
from musiczoo.models.musicbert_classifier.config import MusicBertClassifierConfig
from musiczoo.models.musicbert_classifier.net import MusicBertClassifierNet
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple import OctupleMidi

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    from musiczoo.music.abc import Tune

_REFERENCE = "M:3/4\nL:1/8\nK:Gm\nG2 ^F2 G2|A3 B c2-|c2 B4|"
_ROWS = 8192


class LabelLoss:
    """Cross-entropy of one label a piece, or of each label by itself where there are several.

    The published code sums the binary losses of a piece; so does this, and divides by pieces.
    """

    unit = None

    def __call__(self, module: Any, batch: Batch) -> ObjectiveResult:
        """The summed loss and the number of pieces.

        Args:
            module: A :class:`MusicBertClassifier`.
            batch: With ``labels``, (batch,) numbers, or (batch, labels) of 0 and 1.
        """
        logits, labels = module.net(batch["ids"], batch["lengths"]), batch["labels"]
        if module.config.several:
            # A piece that stands for an empty share has targets below 0.
            known = (labels >= 0).all(dim=1)
            losses = F.binary_cross_entropy_with_logits(
                logits, labels.float().clamp(min=0), reduction="none"
            )
            total = losses[known].sum()
            right = ((logits > 0) == labels.bool()).all(dim=1) & known
        else:
            known = labels >= 0
            total = F.cross_entropy(logits, labels, reduction="sum", ignore_index=-100)
            right = logits.argmax(dim=1) == labels
        count = known.sum()
        accuracy = right.float().sum() / count.clamp(min=1)
        return ObjectiveResult(total=total, count=count, logs={"accuracy": accuracy.detach()})


class MusicBertClassifier(ZooModule):
    r"""MusicBERT with a classification head (Zeng et al. 2021, arXiv 2106.05630, section 4).

    It starts from a pre-trained MusicBERT and takes its labels from the data module where none are
    given, so that this is a whole fine-tuning::

        model = MusicBertClassifier(pretrained="musicbert-small")
        lightning.Trainer(max_epochs=5).fit(model, LabelledMidiDataModule("folder_of_folders"))

    >>> from musiczoo.music.abc import read_abc
    >>> sizes = {"layers": 1, "hidden": 32, "heads": 2, "positions": 66}
    >>> model = MusicBertClassifier(labels=("reel", "jig"), **sizes)
    >>> model.classify([read_abc("L:1/8\nM:4/4\nK:G\nGABc d2 B2|")]).shape
    torch.Size([1, 2])

    Args:
        config: Sizes and labels. Single ones may be given by their names instead.
        pretrained: A MusicBERT: a checkpoint of fairseq, or a name for :func:`musiczoo.load`; or a
            classifier, whose labels and head are taken.
        representation: The octuples; those of ``pretrained`` when None.
        lora: Train an adapter beside encoder and head, and nothing else. A head without labels gets
            its adapter when the data states them. Merge it (:meth:`merge_adapter`) to save a
            checkpoint folder, unless ``pretrained`` is a classifier.
        settings: Of :class:`musiczoo.models.base.ZooModule`; the objective is :class:`LabelLoss`
            when none is given.

    Attributes:
        labels: The labels, in the order of :meth:`classify`.

    Raises:
        MusicZooError: Weights that cannot be used.
    """

    architecture: ClassVar[str] = "musicbert_classifier"
    config_type = MusicBertClassifierConfig
    representation_type = OctupleMidi
    writes = "labels"
    length_unit = "note"
    # "dense" is of the head: one that is new learns by its adapter alone.
    lora_targets = (*MusicBertModule.lora_targets, "dense")
    net: MusicBertClassifierNet
    config: MusicBertClassifierConfig
    representation: OctupleMidi

    def __init__(
        self,
        config: MusicBertClassifierConfig | None = None,
        *,
        pretrained: str | None = None,
        representation: OctupleMidi | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        sizes = MusicBertClassifierConfig.from_settings(config, settings)
        super().__init__(**settings)
        self.objective = self.objective or LabelLoss()
        self.pretrained = pretrained
        self._waiting: tuple[LoRA, int] | None = None
        encoder, head, stored = None, None, None
        if pretrained is not None:
            sizes, encoder, head, stored = _started(pretrained, sizes)
            self.loaded_from = getattr(stored, "loaded_from", None)
            self.source = pretrained if head is not None else None
        self.config = sizes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.net = MusicBertClassifierNet(sizes)
        if encoder is not None:
            own = self.net.encoder.state_dict()
            self.net.encoder.load_state_dict({name: encoder[name] for name in own})
        if head is not None:
            self.net.head.load_state_dict(head)
        longest = min(1002, sizes.positions - 2)
        of_weights = None if stored is None else stored.representation
        self.representation = representation or of_weights or OctupleMidi(longest)
        self._keep_settings()
        if lora is not None:
            self.add_lora(lora, self.seed)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of :meth:`classify`."""
        return self.config.labels

    def set_labels(self, labels: Sequence[str], *, several: bool) -> None:
        """Gives a classifier that has none its labels, with a new head.

        Args:
            labels: Their names.
            several: Whether a piece may have several.

        Raises:
            MusicZooError: It has others.
        """
        if self.labels:
            if (self.labels, self.config.several) != (tuple(labels), several):
                raise MusicZooError(
                    f"The data has other labels ({', '.join(labels)}) than the model"
                    f" ({', '.join(self.labels)}).",
                    where="labels",
                    remedy="Start from the encoder, or give the data labels=model.labels.",
                )
            return
        self.config = replace(self.config, labels=tuple(labels), several=several)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            fresh = MusicBertClassifierNet(self.config)
        frozen = not any(value.requires_grad for value in self.net.head.parameters())
        fresh.head.requires_grad_(not frozen)
        self.net.head, self.net.config = fresh.head.to(self.device), self.config
        self._keep_settings()
        if self._waiting is not None:
            self.add_lora(*self._waiting)

    def add_lora(self, lora: LoRA | Mapping[str, Any], seed: int = 0) -> Self:
        """Puts an adapter beside the weights; without labels, as soon as there is a head for them.

        Args:
            lora: The settings, or :meth:`LoRA.to_dict` of them.
            seed: Of the adapter's random half.

        Raises:
            MusicZooError: There is an adapter already, or a target that the architecture does not
                offer.
        """
        if self.labels:
            self._waiting = None
            return super().add_lora(lora, seed)
        # The head of the labels will replace this one, and the adapter with it.
        self._waiting = (lora if isinstance(lora, LoRA) else LoRA.from_dict(lora), seed)
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the record to Lightning's checkpoints; of an adapter also what it started from."""
        super().on_save_checkpoint(checkpoint)
        if self.lora is not None:
            # An encoder and a seeded head: the digest of the base proves that they are the same.
            checkpoint["hyper_parameters"]["pretrained"] = self.pretrained

    def setup(self, stage: str | None = None) -> None:
        """Takes the labels of the data module; Lightning calls it before the optimiser is made."""
        data = getattr(self.trainer, "datamodule", None)
        labels = getattr(data, "labels", None)
        if labels is not None:
            self.set_labels(labels, several=bool(getattr(data, "several", False)))

    def classify(self, pieces: Sequence[Tune | ScoreTick]) -> Tensor:
        """The probabilities of the labels: the mean over the windows of a piece.

        Args:
            pieces: Tunes or symusic scores.

        Returns:
            (pieces, labels) float32, on the CPU; rows sum to 1 where a piece has one label.

        Raises:
            MusicZooError: A piece that holds no note, or a model without labels.
        """
        if not self.labels:
            raise MusicZooError(
                "The model has no labels yet.",
                remedy="Fit it, or give it labels=.",
            )
        notes = self.representation.max_length - 2
        parts = [
            (number, window)
            for number, piece in enumerate(pieces)
            for window in self.representation.windows(piece, notes, notes)
        ]
        parts.sort(key=lambda part: len(part[1]))
        sums = torch.zeros(len(pieces), len(self.labels), dtype=torch.float64)
        counts = torch.zeros(len(pieces), 1, dtype=torch.float64)
        while parts:
            count = max(1, _ROWS // len(parts[-1][1]))
            taken, parts = parts[-count:], parts[:-count]
            batch = self.representation.collate([window for _, window in taken])
            with evaluating(self.net):
                logits = self.net(batch["ids"].to(self.device), batch["lengths"].to(self.device))
            found = logits.sigmoid() if self.config.several else logits.softmax(dim=1)
            owners = torch.tensor([number for number, _ in taken])
            sums.index_add_(0, owners, found.cpu().double())
            counts.index_add_(0, owners, torch.ones(len(taken), 1, dtype=torch.float64))
        return (sums / counts).float()

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short pieces of different length."""
        ids = self.representation.encode(read_abc(_REFERENCE))
        return self.representation.collate([ids, ids[:5]])

    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``logits``, (batch, labels)."""
        with torch.no_grad():
            return {"logits": self.net(batch["ids"], batch["lengths"])}


def _started(pretrained: str, sizes: MusicBertClassifierConfig) -> Any:
    """Sizes, tensors of the encoder, tensors of the head or None, and what they were read from."""
    from pathlib import Path

    if Path(pretrained).exists():
        found: Any = read_pretrained("musicbert", pretrained).published
        heads, config, tensors = None, found.config, dict(found.tensors)
    else:
        found = load(pretrained)
        if found.architecture not in ("musicbert", "musicbert_classifier"):
            raise MusicZooError(
                f"{pretrained} is a model of another architecture.",
                where="pretrained",
                remedy="Give a musicbert or a musicbert_classifier.",
            )
        if found.lora is not None:
            found.merge_adapter()
        config, heads = found.config, None
        if isinstance(found, MusicBertClassifier):
            sizes = replace(sizes, labels=found.labels, several=found.config.several)
            heads = found.net.head.state_dict()
            tensors = found.net.encoder.state_dict()
        else:
            tensors = found.net.state_dict()
    plain = {
        name: value
        for name, value in config.to_dict().items()
        if name in MusicBertConfig.__dataclass_fields__ and name not in MusicBertConfig.dropouts
    }
    return replace(sizes, **plain), tensors, heads, found
