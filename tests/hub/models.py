"""Tiny models of every architecture, for the tests of saving, publishing and loading."""

from __future__ import annotations

from collections.abc import Callable

import torch

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.base.module import ZooModule
from musiczoo.models.causal_lm import TextLM
from musiczoo.models.clamp2 import Clamp2Module
from musiczoo.models.m3 import M3Module
from musiczoo.models.mel_aesthetics import MelAestheticsModule
from musiczoo.models.midi_llama import MidiLlamaModule
from musiczoo.models.musicbert import MusicBertModule
from musiczoo.models.musicbert_classifier import MusicBertClassifier
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.models.prompts import Prompt
from musiczoo.representations.bar_stream import BarStreamPatches
from musiczoo.representations.log_mel import LogMel
from musiczoo.representations.text_tokens import TextTokens


def _disturbed(model: ZooModule) -> ZooModule:
    """Untrained weights leave biases at 0 and layer norms at 1, where mistakes would not show."""
    with torch.no_grad():
        for parameter in model.net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def bar_stream() -> ZooModule:
    torch.manual_seed(3)
    model = _disturbed(
        BarStreamModule(
            patch_layers=1, char_layers=1, hidden=32, heads=2, patch_length=64, dropout=0.2
        )
    )
    model.representation = BarStreamPatches(patch_size=16, max_length=64, omit_rests=False)
    model.prompts = (
        Prompt("Baroque", "Bach, Johann Sebastian", "Choral", 370),
        Prompt("Traditional", "O'Neill's Music of Ireland", "reel", 12),
    )
    model.provenance = {
        "base": {"name": "hf-hub:org/base", "revision": "abc"},
        "training": [{"steps": 7}],
    }
    model.stage = "finetune"
    return model


def clamp2() -> ZooModule:
    torch.manual_seed(4)
    return _disturbed(
        Clamp2Module(layers=1, hidden=32, heads=2, dim=16, patch_length=64, strip_unit_length=True)
    )


def m3() -> ZooModule:
    torch.manual_seed(5)
    return _disturbed(
        M3Module(layers=1, decoder_layers=1, hidden=32, heads=2, patch_length=64, dropout=0.2)
    )


def mel_aesthetics() -> ZooModule:
    torch.manual_seed(7)
    model = _disturbed(MelAestheticsModule(mels=16, channels=4, width=8, layers=2, dropout=0.2))
    model.representation = LogMel(mels=16, high=4000.0, floor=-60.0)
    return model


def musicbert() -> ZooModule:
    torch.manual_seed(9)
    return _disturbed(MusicBertModule(layers=1, hidden=32, heads=4, positions=66, dropout=0.2))


def musicbert_classifier() -> ZooModule:
    torch.manual_seed(10)
    sizes = {"layers": 1, "hidden": 32, "heads": 4, "positions": 66}
    return _disturbed(MusicBertClassifier(labels=("reel", "jig", "air"), several=True, **sizes))


def midi_llama() -> ZooModule:
    # Its two frozen parts are those that come with musiczoo.
    torch.manual_seed(11)
    module = MidiLlamaModule(segments=2)
    with torch.no_grad():
        for value in module.net.state_dict().values():
            if value.is_floating_point():
                value.add_(0.05 * torch.rand_like(value))
    return module.eval()


def phi3_remi() -> ZooModule:
    torch.manual_seed(6)
    return _disturbed(
        Phi3RemiModule(layers=1, hidden=32, heads=2, intermediate=48, positions=64, dropout=0.2)
    )


def text_lm() -> ZooModule:
    torch.manual_seed(8)
    tokens = TextTokens.train(["CDEF GABc|", "cBAG FEDC|"] * 4, vocabulary=270, max_length=64)
    sizes = {"layers": 1, "hidden": 32, "heads": 4, "intermediate": 48, "positions": 64}
    return _disturbed(TextLM(**sizes, key_value_heads=2, dropout=0.2, representation=tokens))


# One line for each architecture; the tests of this folder take it from here.
MODELS: dict[str, Callable[[], ZooModule]] = {
    "bar_stream": bar_stream,
    "clamp2": clamp2,
    "m3": m3,
    "mel_aesthetics": mel_aesthetics,
    "midi_llama": midi_llama,
    "musicbert": musicbert,
    "musicbert_classifier": musicbert_classifier,
    "phi3_remi": phi3_remi,
    "text_lm": text_lm,
}
