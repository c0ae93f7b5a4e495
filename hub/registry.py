"""The table of models that can be loaded by name.

It names classes by their dotted path, so that it imports no model.

Two kinds of models have names: weights in their publisher's layout, which the rows below describe,
and the checkpoint folders that come with musiczoo in ``hub/shipped``, which describe themselves.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from musiczoo.music.errors import MusicZooError

SHIPPED = Path(str(resources.files("musiczoo.hub"))) / "shipped"


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        name: What ``musiczoo.load`` takes.
        summary: What it is, in a line.
        parameters: Numbers in the weights; None when the file decides.
        licence: Terms of the weights, as their publisher states them.
        origin: Paper and publisher.
        opener: ``"module:attribute"`` of the callable that opens a weights file; None for a
            checkpoint folder.
        repository: Repository on the Hugging Face Hub, or None.
        filename: File in the repository; None for the whole of one in transformers' layout.
        revision: Branch, tag or commit.
        folder: The checkpoint folder that comes with musiczoo, or None.
    """

    name: str
    summary: str
    parameters: int | None
    licence: str
    origin: str
    opener: str | None = None
    repository: str | None = None
    filename: str | None = None
    revision: str = "main"
    folder: Path | None = None

    @property
    def where(self) -> str:
        """Where the weights come from, in a few words."""
        if self.folder is not None:
            return "with musiczoo"
        return f"Hub: {self.repository}" if self.repository else "a file of yours (weights=PATH)"


def _notagen(name: str, summary: str, parameters: int | None, filename: str | None) -> Entry:
    return Entry(
        name=name,
        summary=summary,
        parameters=parameters,
        licence="the publisher's terms, see huggingface.co/ElectricAlexis/NotaGen",
        origin="Wang et al. 2025, NotaGen, arXiv 2502.18008",
        opener="musiczoo.models.bar_stream:BarStreamModule.from_notagen",
        repository="ElectricAlexis/NotaGen" if filename else None,
        filename=filename,
    )


_CLAMP2 = "Wu et al. 2024, CLaMP 2, arXiv 2410.13267"
_PRETRAINED = "weights_notagen_pretrain_p_size_16_p_length"
_LARGE = "p_size_16_p_length_1024_p_layers_20"
# File names as published; the fine-tuned one really has its numbers of layers in this place.
ENTRIES: tuple[Entry, ...] = (
    _notagen("notagen", "any weights in NotaGen's layout, from a path", None, None),
    _notagen(
        "notagen-small",
        "pre-trained, small",
        110_000_000,
        f"{_PRETRAINED}_2048_p_layers_12_c_layers_3_h_size_768_lr_0.0002_batch_8.pth",
    ),
    _notagen(
        "notagen-medium",
        "pre-trained, medium",
        244_000_000,
        f"{_PRETRAINED}_2048_p_layers_16_c_layers_3_h_size_1024_lr_0.0001_batch_4.pth",
    ),
    _notagen(
        "notagen-large",
        "pre-trained, large",
        516_000_000,
        f"{_PRETRAINED}_1024_p_layers_20_c_layers_6_h_size_1280_lr_0.0001_batch_4.pth",
    ),
    _notagen(
        "notagen-finetuned",
        "large, fine-tuned on 8,948 classical pieces with prompts",
        516_000_000,
        "weights_notagen_pretrain-finetune_p_size_16_p_length_1024_p_layers_c_layers_6_20_h_size_1280_lr_1e-05_batch_1.pth",
    ),
    _notagen(
        "notagen-rl",
        "fine-tuned, then three rounds of CLaMP-DPO",
        516_000_000,
        f"weights_notagen_pretrain-finetune-RL3_beta_0.1_lambda_10_{_LARGE}_c_layers_6_h_size_1280_lr_1e-06_batch_1.pth",
    ),
    _notagen(
        "notagen-x",
        "the authors' later model",
        516_000_000,
        f"weights_notagenx_{_LARGE}_h_size_1280.pth",
    ),
    Entry(
        name="clamp2",
        summary="features of music, and of text in 101 languages",
        parameters=371_559_168,
        licence="the publisher's terms, see huggingface.co/sander-wood/clamp2",
        origin=_CLAMP2,
        opener="musiczoo.models.clamp2:Clamp2Module.from_clamp2",
        repository="sander-wood/clamp2",
        filename=(
            "weights_clamp2_h_size_768_lr_5e-05_batch_128_scale_1_t_length_128_t_model_FacebookAI_xlm-roberta-base"
            "_t_dropout_True_m3_True.pth"
        ),
    ),
    Entry(
        name="clamp3",
        summary="features of music and of text; the symbolic half of the release for scores",
        parameters=None,
        licence="the publisher's terms, see huggingface.co/sander-wood/clamp3",
        origin="Wu et al. 2025, CLaMP 3, arXiv 2502.10362",
        opener="musiczoo.models.clamp2:Clamp2Module.from_clamp3",
        repository="sander-wood/clamp3",
        filename=(
            "weights_clamp3_c2_h_size_768_t_model_FacebookAI_xlm-roberta-base_t_length_128_a_size_768_a_layers_12_a_length_128"
            "_s_size_768_s_layers_12_p_size_64_p_length_512.pth"
        ),
    ),
    Entry(
        name="m3",
        summary="the pre-trained music encoder behind CLaMP 2 and 3, with its decoder",
        parameters=113_746_944,
        licence="the publisher's terms, see huggingface.co/sander-wood/clamp2",
        origin=_CLAMP2,
        opener="musiczoo.models.m3.published:open_m3",
        repository="sander-wood/clamp2",
        filename="weights_m3_p_size_64_p_length_512_t_layers_3_p_layers_12_h_size_768_lr_0.0001_batch_16_mask_0.45.pth",
    ),
    Entry(
        name="audiobox-aesthetics",
        summary=(
            "ratings of sound: content enjoyment and usefulness, production complexity and quality"
        ),
        parameters=103_859_112,
        licence="cc-by-4.0",
        origin="Tjandra et al. 2025, Meta Audiobox Aesthetics, arXiv 2502.05139",
        opener="musiczoo.models.audiobox:AudioboxModule.from_audiobox",
        repository="facebook/audiobox-aesthetics",
        filename="model.safetensors",
        revision="9b1dd8e5df9af7216e836a98974fe3b82c56ded6",
    ),
    Entry(
        name="smart",
        summary=(
            "the base model of SMART: piano music as REMI tokens; or any Phi-3 over REMI tokens,"
            " from a folder"
        ),
        parameters=None,
        licence="the publisher's terms, see huggingface.co/lucacasini/metamidipianophi3_4L",
        origin="Jonason, Casini and Sturm 2025, SMART, arXiv 2504.16839",
        opener="musiczoo.models.phi3_remi:Phi3RemiModule.from_published",
        repository="lucacasini/metamidipianophi3_4L",
    ),
)


def list_models() -> list[Entry]:
    """The models that ``musiczoo.load`` knows, as rows with ``.name``.

    Those that come with musiczoo first.
    """
    return [*_shipped(), *ENTRIES]


def _shipped() -> list[Entry]:
    """The rows of the checkpoint folders that come with musiczoo."""
    rows = []
    for path in sorted(SHIPPED.glob("*/config.json")):
        content = json.loads(path.read_text("utf-8"))
        card = content["card"]
        rows.append(
            Entry(
                path.parent.name,
                card["summary"],
                content["parameters"],
                card["licence"],
                card["origin"],
                folder=path.parent,
            )
        )
    return rows


def entry(name: str) -> Entry:
    """The row of a name.

    Raises:
        MusicZooError: There is no such model; the nearest names are given, or what to write where a
            path or a repository was meant.
    """
    table = {row.name: row for row in list_models()}
    if name in table:
        return table[name]
    wrong = f"There is no model named {name!r}."
    if Path(name).is_dir():
        raise MusicZooError(wrong, remedy=f"For a checkpoint folder write local-dir:{name}.")
    if Path(name).is_file():
        raise MusicZooError(
            wrong,
            remedy=f'For a file in NotaGen\'s layout write load("notagen", weights="{name}").',
        )
    if name.count("/") == 1:
        raise MusicZooError(
            wrong, remedy=f"For a repository on the Hugging Face Hub write hf-hub:{name}."
        )
    near = difflib.get_close_matches(name, table, n=3, cutoff=0.4) or list(table)
    raise MusicZooError(wrong, remedy=f"Did you mean {' or '.join(near)}? musiczoo list shows all.")
