"""Every generative architecture in a size for tests: what is proved of objectives is proved for each of them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.causal_lm import TextLM
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.representations.music_questions import Asked
from tests.models.midi_llama import tiny_midi_llama

_BARS = [
    f"[V:1]{''.join('CDEFGAB'[(i * k) % 7] for i in range(1, 5))}|[V:2]{'C2' * (k % 3 + 1)}|\n"
    for k in range(1, 40)
]


def bar_stream(**settings: object) -> GenerativeModule:
    sizes = {
        "patch_layers": 1,
        "char_layers": 1,
        "hidden": 32,
        "heads": 2,
        "patch_length": 64,
        "dropout": 0.0,
    }
    return BarStreamModule(**{**sizes, **settings})


def bar_stream_pieces(module: GenerativeModule, numbers: Sequence[int]) -> list[Tensor]:
    return [
        module.representation.encode_text("K:C\nV:1\nV:2\n" + "".join(_BARS[k : k + 1 + k % 4]))
        for k in numbers
    ]


def phi3_remi(**settings: object) -> GenerativeModule:
    sizes = {"layers": 1, "hidden": 32, "heads": 2, "intermediate": 48, "positions": 96}
    return Phi3RemiModule(**{**sizes, **settings})


def phi3_remi_pieces(module: GenerativeModule, numbers: Sequence[int]) -> list[Tensor]:
    bars = [
        f"Bar_None TimeSig_4/4 Position_{k % 12} Pitch_{40 + k % 40} Velocity_79 Duration_1.0.12 Position_24 Pitch_{50 + k} Velocity_63 Duration_0.6.12"
        for k in range(40)
    ]
    return [
        module.representation.encode_text(" ".join(["BOS", *bars[k : k + 1 + k % 4], "EOS"]))
        for k in numbers
    ]


def text_lm(**settings: object) -> GenerativeModule:
    sizes = {"layers": 1, "hidden": 32, "heads": 2, "intermediate": 48, "positions": 96}
    return TextLM(**{**sizes, **settings})


def text_lm_pieces(module: GenerativeModule, numbers: Sequence[int]) -> list[Tensor]:
    return [
        module.representation.encode("K:C\n" + "".join(_BARS[k : k + 1 + k % 3])) for k in numbers
    ]


def midi_llama(dropout: float = 0.0, **settings: object) -> GenerativeModule:
    # Its adapter is what has dropout.
    adapter = {"rank": 8, "alpha": 16.0, "dropout": dropout}
    return tiny_midi_llama.build(adapter=adapter, **settings)


def midi_llama_pieces(module: GenerativeModule, numbers: Sequence[int]) -> list[Tensor]:
    answers = ("G.", "In C major.", "No.", "It has four bars.")
    return [
        module.representation.encode(
            Asked(tiny_midi_llama.tune(k), "Which key?", answers[k % 4] + str(k))
        )
        for k in numbers
    ]


# How each is built, with random weights, and how pieces of different length are made for it, one
# for each number.
ARCHITECTURES: dict[
    str,
    tuple[
        Callable[..., GenerativeModule], Callable[[GenerativeModule, Sequence[int]], list[Tensor]]
    ],
] = {
    "bar_stream": (bar_stream, bar_stream_pieces),
    "midi_llama": (midi_llama, midi_llama_pieces),
    "phi3_remi": (phi3_remi, phi3_remi_pieces),
    "text_lm": (text_lm, text_lm_pieces),
}


def build(architecture: str, **settings: object) -> GenerativeModule:
    torch.manual_seed(0)
    return ARCHITECTURES[architecture][0](**settings)


def pieces(module: GenerativeModule, numbers: Sequence[int]) -> list[Tensor]:
    return ARCHITECTURES[module.architecture][1](module, numbers)
