"""Every generative architecture in a size for tests: what is proved of objectives is proved for each of them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.base import GenerativeModule

_BARS = [f"[V:1]{''.join('CDEFGAB'[(i * k) % 7] for i in range(1, 5))}|[V:2]{'C2' * (k % 3 + 1)}|\n" for k in range(1, 40)]


def bar_stream(**settings: object) -> GenerativeModule:
    sizes = {"patch_layers": 1, "char_layers": 1, "hidden": 32, "heads": 2, "patch_length": 64, "dropout": 0.0}
    return BarStreamModule(**{**sizes, **settings})


def bar_stream_pieces(module: GenerativeModule, numbers: Sequence[int]) -> list[Tensor]:
    return [module.representation.encode_text("K:C\nV:1\nV:2\n" + "".join(_BARS[k : k + 1 + k % 4])) for k in numbers]


# How each is built, with random weights, and how pieces of different length are made for it, one for each number.
ARCHITECTURES: dict[str, tuple[Callable[..., GenerativeModule], Callable[[GenerativeModule, Sequence[int]], list[Tensor]]]] = {
    "bar_stream": (bar_stream, bar_stream_pieces),
}


def build(architecture: str, **settings: object) -> GenerativeModule:
    torch.manual_seed(0)
    return ARCHITECTURES[architecture][0](**settings)


def pieces(module: GenerativeModule, numbers: Sequence[int]) -> list[Tensor]:
    return ARCHITECTURES[module.architecture][1](module, numbers)
