"""The rows of the registry: architectures and named weights that come with musiczoo.

Classes and functions are named by their dotted path, ``"module:attribute"``, so that the hub
imports no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Architecture:
    """One architecture: all that hub, command line and LightningCLI must know to use its models.

    Attributes:
        name: What ``config.json`` holds, and the class attribute ``architecture`` of the module.
        module: Dotted path of the LightningModule.
        representation: Dotted path of the class of its representation; or a table of names, as
            checkpoints hold them, and paths, where it has several or shares one with another
            architecture. Empty for a model that is not saved as a checkpoint folder.
        reads_published: Dotted path of ``read_published(path) -> Published``
            (:class:`musiczoo.hub.published.Published`); None where there are no foreign files.
        reader_options: Settings of :func:`musiczoo.load` that ``read_published`` receives as
            keywords; all others are the module's.
        recipes: ``"package:folder"`` of its training recipes (YAML); None where it is not trained.
        writes: What it generates: ``"notation"``, ``"performance"``, ``"text"`` or ``"labels"``;
            None for an encoder or a scorer. The module has the same as a class attribute; it stands
            here too so that a list of models need not import torch.
        usage: A line of Python that shows what a loaded ``model`` is for; its model card shows it.
        summary: What it is, in a line.
    """

    name: str
    module: str
    representation: str | Mapping[str, str] = ""
    reads_published: str | None = None
    reader_options: tuple[str, ...] = ()
    recipes: str | None = None
    writes: str | None = None
    usage: str = ""
    summary: str = ""


@dataclass(frozen=True)
class Entry:
    """One model that can be loaded by name: a publisher's weights, or a checkpoint folder.

    Attributes:
        name: What :func:`musiczoo.load` is given.
        summary: What it is, in a line.
        parameters: Numbers in the weights; None when the file decides.
        licence: Terms of the weights, as their publisher states them.
        origin: Paper and publisher.
        architecture: Name of its :class:`Architecture`.
        repository: Repository on the Hugging Face Hub, or None.
        filename: File in the repository; None for the whole of one in transformers' layout.
        revision: Branch, tag or commit.
        folder: The checkpoint folder that comes with musiczoo (or with another package), or None.
        line: What it is in a few words, for tables; the summary where it is empty.
    """

    name: str
    summary: str
    parameters: int | None
    licence: str
    origin: str
    architecture: str
    repository: str | None = None
    filename: str | None = None
    revision: str = "main"
    folder: Path | None = None
    line: str = ""

    @property
    def where(self) -> str:
        """Where the weights come from, in a few words."""
        if self.folder is not None:
            return "with musiczoo"
        return f"Hub: {self.repository}" if self.repository else "a file of yours (weights=PATH)"


#: The lines of the models that come with musiczoo.
SHIPPED_LINES = {
    "bar-stream": "chorales and fiddle tunes",
    "m3-small": "features of notated music",
    "mel-aesthetics": "is sound real or degraded",
    "midi-llama-small": "answers about MIDI files",
    "musicbert-small": "features of MIDI files",
    "phi3-remi": "chorales, tunes for piano",
    "qa-lm-small": "for midi-llama-small",
}
_M3_PATCHES = {"m3": "musiczoo.representations.m3_patches:M3Patches"}

ROWS: tuple[Architecture, ...] = (
    Architecture(
        name="audiobox",
        module="musiczoo.models.audiobox.module:AudioboxModule",
        reads_published="musiczoo.models.audiobox.published:read_published",
        reader_options=("config",),
        usage="ratings = model.ratings([samples], rate=44_100)  # (1, 4)",
        summary="Audiobox Aesthetics: ratings of sound on four axes",
    ),
    Architecture(
        name="bar_stream",
        module="musiczoo.models.bar_stream.module:BarStreamModule",
        representation="musiczoo.representations.bar_stream:BarStreamPatches",
        reads_published="musiczoo.models.bar_stream.published:read_published",
        recipes="musiczoo.configs:bar_stream",
        writes="notation",
        usage="[new] = model.generate([{prompt}])",
        summary="NotaGen's patch decoder over bars of interleaved ABC",
    ),
    Architecture(
        name="clamp2",
        module="musiczoo.models.clamp2.module:Clamp2Module",
        representation=_M3_PATCHES,
        reads_published="musiczoo.models.clamp2.published:read_published",
        reader_options=("text_model",),
        usage='features = model.features([musiczoo.music.read("piece.musicxml")])  # (1, dim)',
        summary="CLaMP 2 and the symbolic half of CLaMP 3: features of music and of text",
    ),
    Architecture(
        name="m3",
        module="musiczoo.models.m3.module:M3Module",
        representation=_M3_PATCHES,
        reads_published="musiczoo.models.m3.published:read_published",
        recipes="musiczoo.configs:m3",
        usage='features = model.features([musiczoo.music.read("piece.musicxml")])  # (1, dim)',
        summary="M3, the encoder of symbolic music behind CLaMP 2 and 3",
    ),
    Architecture(
        name="mel_aesthetics",
        module="musiczoo.models.mel_aesthetics.module:MelAestheticsModule",
        representation={"log_mel": "musiczoo.representations.log_mel:LogMel"},
        recipes="musiczoo.configs:mel_aesthetics",
        usage="[logit] = model.scores([samples], rate=44_100)",
        summary="a small audio scorer: real pieces above degraded ones",
    ),
    Architecture(
        name="midi_llama",
        module="musiczoo.models.midi_llama.module:MidiLlamaModule",
        representation={
            "music_questions": "musiczoo.representations.music_questions:MusicQuestions"
        },
        recipes="musiczoo.configs:midi_llama",
        writes="text",
        usage=(
            '[answer] = model.answer([musiczoo.music.read("piece.mid")], ["Is it in a major key?"])'
        ),
        summary="MIDI-LLaMA: MusicBERT, a projection and a language model",
    ),
    Architecture(
        name="musicbert",
        module="musiczoo.models.musicbert.module:MusicBertModule",
        representation={"octuple": "musiczoo.representations.octuple:OctupleMidi"},
        reads_published="musiczoo.models.musicbert.published:read_published",
        recipes="musiczoo.configs:musicbert",
        usage='features = model.features([musiczoo.music.read("piece.mid")])  # (1, dim)',
        summary="MusicBERT, an encoder of performed music over OctupleMIDI",
    ),
    Architecture(
        name="musicbert_classifier",
        module="musiczoo.models.musicbert_classifier.module:MusicBertClassifier",
        representation={"octuple": "musiczoo.representations.octuple:OctupleMidi"},
        reads_published="musiczoo.models.musicbert_classifier.published:read_published",
        reader_options=("head", "several"),
        writes="labels",
        usage='chances = model.classify([musiczoo.music.read("piece.mid")])  # (1, labels)',
        summary="MusicBERT with a head for labels of pieces",
    ),
    Architecture(
        name="phi3_remi",
        module="musiczoo.models.phi3_remi.module:Phi3RemiModule",
        representation={"remi": "musiczoo.representations.remi:Remi"},
        reads_published="musiczoo.models.phi3_remi.published:read_published",
        recipes="musiczoo.configs:phi3_remi",
        writes="performance",
        usage="[new] = model.generate([{prompt}])",
        summary="Phi-3 over REMI tokens, as SMART has it",
    ),
    Architecture(
        name="text_lm",
        module="musiczoo.models.causal_lm.module:TextLMModule",
        representation={"text_tokens": "musiczoo.representations.text_tokens:TextTokens"},
        reads_published="musiczoo.models.causal_lm.published:read_published",
        writes="text",
        usage="[new] = model.generate([{prompt}])",
        summary="any causal language model of transformers, over texts",
    ),
)


_NOTAGEN = Entry(
    name="notagen",
    summary="any weights in NotaGen's layout, from a path",
    line="weights of your own",
    parameters=None,
    licence="the publisher's terms, see huggingface.co/ElectricAlexis/NotaGen",
    origin="Wang et al. 2025, NotaGen, arXiv 2502.18008",
    architecture="bar_stream",
)
_ON_THE_HUB = replace(_NOTAGEN, repository="ElectricAlexis/NotaGen", line="")
_CLAMP2 = "Wu et al. 2024, CLaMP 2, arXiv 2410.13267"
_PRETRAINED = "weights_notagen_pretrain_p_size_16_p_length"
_LARGE = "p_size_16_p_length_1024_p_layers_20"
# File names as published; the fine-tuned one really has its numbers of layers in this place.
ENTRIES: tuple[Entry, ...] = (
    _NOTAGEN,
    replace(
        _ON_THE_HUB,
        name="notagen-small",
        summary="pre-trained, small",
        parameters=110_000_000,
        filename=f"{_PRETRAINED}_2048_p_layers_12_c_layers_3_h_size_768_lr_0.0002_batch_8.pth",
    ),
    replace(
        _ON_THE_HUB,
        name="notagen-medium",
        summary="pre-trained, medium",
        parameters=244_000_000,
        filename=f"{_PRETRAINED}_2048_p_layers_16_c_layers_3_h_size_1024_lr_0.0001_batch_4.pth",
    ),
    replace(
        _ON_THE_HUB,
        name="notagen-large",
        summary="pre-trained, large",
        parameters=516_000_000,
        filename=f"{_PRETRAINED}_1024_p_layers_20_c_layers_6_h_size_1280_lr_0.0001_batch_4.pth",
    ),
    replace(
        _ON_THE_HUB,
        name="notagen-finetuned",
        summary="large, fine-tuned on 8,948 classical pieces with prompts",
        line="large, with prompts",
        parameters=516_000_000,
        filename="weights_notagen_pretrain-finetune_p_size_16_p_length_1024_p_layers_c_layers_6_20_h_size_1280_lr_1e-05_batch_1.pth",
    ),
    replace(
        _ON_THE_HUB,
        name="notagen-rl",
        summary="fine-tuned, then three rounds of CLaMP-DPO",
        line="after rounds of CLaMP-DPO",
        parameters=516_000_000,
        filename=f"weights_notagen_pretrain-finetune-RL3_beta_0.1_lambda_10_{_LARGE}_c_layers_6_h_size_1280_lr_1e-06_batch_1.pth",
    ),
    replace(
        _ON_THE_HUB,
        name="notagen-x",
        summary="the authors' later model",
        parameters=516_000_000,
        filename=f"weights_notagenx_{_LARGE}_h_size_1280.pth",
    ),
    Entry(
        name="clamp2",
        summary="features of music, and of text in 101 languages",
        line="features of music and text",
        parameters=371_559_168,
        licence="the publisher's terms, see huggingface.co/sander-wood/clamp2",
        origin=_CLAMP2,
        architecture="clamp2",
        repository="sander-wood/clamp2",
        filename=(
            "weights_clamp2_h_size_768_lr_5e-05_batch_128_scale_1_t_length_128_t_model_FacebookAI_xlm-roberta-base"
            "_t_dropout_True_m3_True.pth"
        ),
    ),
    Entry(
        name="clamp3",
        summary="features of music and of text; the symbolic half of the release for scores",
        line="features of music and text",
        parameters=None,
        licence="the publisher's terms, see huggingface.co/sander-wood/clamp3",
        origin="Wu et al. 2025, CLaMP 3, arXiv 2502.10362",
        architecture="clamp2",
        repository="sander-wood/clamp3",
        filename=(
            "weights_clamp3_c2_h_size_768_t_model_FacebookAI_xlm-roberta-base_t_length_128_a_size_768_a_layers_12_a_length_128"
            "_s_size_768_s_layers_12_p_size_64_p_length_512.pth"
        ),
    ),
    Entry(
        name="m3",
        summary="the pre-trained music encoder behind CLaMP 2 and 3, with its decoder",
        line="encoder of CLaMP 2 and 3",
        parameters=113_746_944,
        licence="the publisher's terms, see huggingface.co/sander-wood/clamp2",
        origin=_CLAMP2,
        architecture="m3",
        repository="sander-wood/clamp2",
        filename="weights_m3_p_size_64_p_length_512_t_layers_3_p_layers_12_h_size_768_lr_0.0001_batch_16_mask_0.45.pth",
    ),
    Entry(
        name="audiobox-aesthetics",
        summary=(
            "ratings of sound: content enjoyment and usefulness, production complexity and quality"
        ),
        line="four ratings of sound",
        parameters=103_859_112,
        licence="cc-by-4.0",
        origin="Tjandra et al. 2025, Meta Audiobox Aesthetics, arXiv 2502.05139",
        architecture="audiobox",
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
        line="piano music as REMI tokens",
        parameters=None,
        licence="the publisher's terms, see huggingface.co/lucacasini/metamidipianophi3_4L",
        origin="Jonason, Casini and Sturm 2025, SMART, arXiv 2504.16839",
        architecture="phi3_remi",
        repository="lucacasini/metamidipianophi3_4L",
    ),
    Entry(
        name="musicbert",
        summary="any weights in fairseq's layout of MusicBERT, from a path",
        line="weights of your own",
        parameters=None,
        licence="the publisher's terms, see github.com/microsoft/muzic (MIT)",
        origin="Zeng et al. 2021, MusicBERT, arXiv 2106.05630",
        architecture="musicbert",
    ),
    Entry(
        name="musicbert-finetuned",
        summary="a MusicBERT in fairseq's layout with a head of its downstream tasks, from a path",
        line="labels, your weights",
        parameters=None,
        licence="the publisher's terms, see github.com/microsoft/muzic (MIT)",
        origin="Zeng et al. 2021, MusicBERT, arXiv 2106.05630",
        architecture="musicbert_classifier",
    ),
    Entry(
        name="llama-3-8b",
        summary="Llama 3 8B, the language model of MIDI-LLaMA; gated: accept its terms on the Hub",
        line="language model, gated",
        parameters=8_030_261_248,
        licence="llama3, see huggingface.co/meta-llama/Meta-Llama-3-8B",
        origin="Grattafiori et al. 2024, The Llama 3 Herd of Models, arXiv 2407.21783",
        architecture="text_lm",
        repository="meta-llama/Meta-Llama-3-8B",
    ),
)
