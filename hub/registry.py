"""The table of models that can be loaded by name. It names classes by their dotted path, so that it imports no model."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        name: What ``musiczoo.load`` takes.
        summary: What it is, in a line.
        opener: ``"module:attribute"`` of the callable that opens a weights file.
        repository: Repository on the Hugging Face Hub, or None when weights come from a path only.
        filename: File in the repository.
        revision: Branch, tag or commit.
        licence: Terms of the weights, as their publisher states them.
        origin: Paper and publisher.
    """

    name: str
    summary: str
    opener: str
    repository: str | None
    filename: str | None
    revision: str
    licence: str
    origin: str


def _notagen(name: str, summary: str, filename: str | None) -> Entry:
    return Entry(
        name=name,
        summary=summary,
        opener="musiczoo.models.bar_stream:BarStreamModule.from_notagen",
        repository="ElectricAlexis/NotaGen" if filename else None,
        filename=filename,
        revision="main",
        licence="see the terms on the publisher's page, https://huggingface.co/ElectricAlexis/NotaGen",
        origin="Wang et al. 2025, NotaGen, arXiv 2502.18008",
    )


_PRETRAINED = "weights_notagen_pretrain_p_size_16_p_length"
_LARGE = "p_size_16_p_length_1024_p_layers_20"
# File names as published; the fine-tuned one really has its numbers of layers in this place.
ENTRIES: tuple[Entry, ...] = (
    _notagen("notagen", "any weights in NotaGen's layout, from a path", None),
    _notagen(
        "notagen-small",
        "pre-trained, 110 M parameters",
        f"{_PRETRAINED}_2048_p_layers_12_c_layers_3_h_size_768_lr_0.0002_batch_8.pth",
    ),
    _notagen(
        "notagen-medium",
        "pre-trained, 244 M parameters",
        f"{_PRETRAINED}_2048_p_layers_16_c_layers_3_h_size_1024_lr_0.0001_batch_4.pth",
    ),
    _notagen(
        "notagen-large",
        "pre-trained, 516 M parameters",
        f"{_PRETRAINED}_1024_p_layers_20_c_layers_6_h_size_1280_lr_0.0001_batch_4.pth",
    ),
    _notagen(
        "notagen-finetuned",
        "large, fine-tuned on 8,948 classical pieces with prompts",
        "weights_notagen_pretrain-finetune_p_size_16_p_length_1024_p_layers_c_layers_6_20_h_size_1280_lr_1e-05_batch_1.pth",
    ),
    _notagen(
        "notagen-rl",
        "fine-tuned, then three rounds of CLaMP-DPO",
        f"weights_notagen_pretrain-finetune-RL3_beta_0.1_lambda_10_{_LARGE}_c_layers_6_h_size_1280_lr_1e-06_batch_1.pth",
    ),
    _notagen("notagen-x", "the authors' later model", f"weights_notagenx_{_LARGE}_h_size_1280.pth"),
)


def list_models() -> list[Entry]:
    """The models that ``musiczoo.load`` knows, as rows with ``.name``."""
    return list(ENTRIES)


def entry(name: str) -> Entry:
    """The row of a name.

    Raises:
        MusicZooError: There is no such model; the nearest names are given.
    """
    table = {row.name: row for row in ENTRIES}
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=3, cutoff=0.4) or list(table)
    raise MusicZooError(f"There is no model named {name!r}.", remedy=f"Did you mean {' or '.join(near)}? musiczoo.list_models() shows all.")
