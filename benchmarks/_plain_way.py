"""Plain generation with a bar-stream net: no cache, one piece at a time."""

from __future__ import annotations

import torch

from musiczoo.models.bar_stream import BarStreamNet
from musiczoo.models.layers.gpt2 import run_blocks
from musiczoo.models.layers.ragged_attention import RaggedCausal
from musiczoo.models.sampling import Sampling, distribution, draw
from musiczoo.representations.bar_stream import EOS

NO_END = ~torch.isin(torch.arange(128), torch.tensor([0, 1]))
NO_EMPTY = NO_END & (torch.arange(128) != EOS)


@torch.inference_mode()
def plain_patch(
    net: BarStreamNet, context: torch.Tensor, sampling: Sampling, uniforms: list[float]
) -> list[int]:
    """The characters of the next patch, up to its end mark.

    The patch decoder reads the whole context, the character decoder each growing prefix.

    Args:
        net: The model, in eval mode.
        context: (patches, 16) all patches so far.
        sampling: The cuts.
        uniforms: One number a character, as our generator drew them.
    """
    condition = net.patch_level_decoder(context, torch.tensor([len(context)]))[-1:]
    decoder = net.char_level_decoder
    chars: list[int] = []
    while len(chars) < net.config.patch_size:
        rows = torch.cat(
            [condition, decoder.transformer.wte(torch.tensor(chars, dtype=torch.long))]
        )
        rows = rows + decoder.transformer.wpe(torch.arange(len(rows)))
        hidden = run_blocks(
            decoder.transformer, rows, RaggedCausal(torch.tensor([len(rows)]), decoder.heads)
        )
        allowed = NO_EMPTY if not chars else NO_END
        probabilities = distribution(decoder.head(hidden[-1:]), sampling, allowed)
        token = int(draw(probabilities, torch.tensor([uniforms[len(chars)]], dtype=torch.float64)))
        chars.append(token)
        if token == EOS:
            break
    return chars
