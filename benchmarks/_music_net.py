"""A net of NotaGen-small's size that generates music, for timing generation.

The speed of generation depends on the text (how long patches are, how well the next characters can
be guessed), so random weights would not do, and a machine without the Hub has no others. A narrow
net is trained for some minutes on the chorales and then widened without changing its function (Chen
et al. 2016, Net2Net, arXiv 1511.05641): every tensor is tiled to NotaGen-small's width, and layers
that add nothing bring it to NotaGen-small's depth. Each of its 109,579,776 parameters is read and
multiplied like any other.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch.nn import functional

from musiczoo.models.bar_stream import SIZES, BarStreamConfig, BarStreamNet
from musiczoo.models.layers.gpt2 import run_blocks
from musiczoo.models.layers.ragged_attention import RaggedCausal
from musiczoo.music.abc import Tune, interleaved_lines, transpose
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.corpora.names import load_corpus
from musiczoo.representations.bar_stream import BarStreamPatches

CONSOLE = Console(stderr=True)
NARROW = BarStreamConfig(patch_layers=3, char_layers=1, hidden=192, patch_length=2048, dropout=0.0)
STEPS = 300
CONTEXT = 384


def endless_chorales(count: int, length: int, seed: int = 0) -> list[torch.Tensor]:
    """Sequences of ``length`` patches: a header and bars of many four-voice chorales.

    All are in G and in 4/4.
    """
    chooser = random.Random(seed)
    tunes = [clean(work.tune) for work in load_corpus("bach-chorales")]
    tunes = [tune for tune in tunes if len(tune.voices) == 4 and tune.field("M") in ("4/4", "C")]
    bars = [interleaved_lines(transpose(tune, "G"), omit_rests=True) for tune in tunes]
    representation = BarStreamPatches(max_length=length)
    out = []
    for _ in track(range(count), description="writing long chorales", console=CONSOLE):
        lines: list[str] = []
        while len(lines) < length // 5:
            lines += chooser.choice(bars)
        text = "\n".join([*header(tunes[0]), *lines]) + "\n"
        out.append(representation.encode_text(text, annotate=False, end=False, max_length=length))
    return [sequence for sequence in out if len(sequence) == length]


def header(tune: Tune) -> list[str]:
    """Header lines of a chorale in G."""
    return [("K:G" if item.name == "K" else item.text) for item in tune.header]


def narrow_net(cache: Path, steps: int = STEPS) -> BarStreamNet:
    """The trained narrow net, from ``cache`` if that file exists."""
    net = BarStreamNet(NARROW)
    if cache.is_file():
        net.load_state_dict(torch.load(cache, weights_only=True))
        return net.eval()
    torch.manual_seed(0)
    net.train()
    sequences = endless_chorales(steps, CONTEXT)
    chooser = random.Random(1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=len(sequences))
    for step, sequence in enumerate(
        track(sequences, description="training the narrow net", console=CONSOLE)
    ):
        loss = shifted_loss(net, sequence, chooser.randrange(1024 - CONTEXT))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            CONSOLE.print(f"step {step}: {loss.item() / 0.6931:.3f} bits per character")
    cache.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), cache)
    return net.eval()


def shifted_loss(net: BarStreamNet, sequence: torch.Tensor, offset: int) -> torch.Tensor:
    """Mean loss of a sequence that begins ``offset`` patches into the context.

    So short sequences train all positions.
    """
    decoder = net.patch_level_decoder
    rows = decoder.embed(sequence) + decoder.base.wpe(torch.arange(offset, offset + len(sequence)))
    hidden = run_blocks(
        decoder.base, rows, RaggedCausal(torch.tensor([len(sequence)]), decoder.heads)
    )
    logits, where = net.char_level_decoder(hidden[:-1], sequence[1:])
    return functional.cross_entropy(logits, sequence[1:].flatten().long()[where])


def widen(narrow: BarStreamNet, target: BarStreamConfig = SIZES["small"]) -> BarStreamNet:
    """A net of the target's size that computes the same function.

    With x tiled k times, W tiled k x k and divided by k gives W x tiled k times; layer norms and
    attention heads repeat.
    """
    factor = target.hidden // narrow.config.hidden
    wide = BarStreamNet(target)
    source = narrow.state_dict()
    state = {}
    for name, value in wide.state_dict().items():
        if name not in source:
            # Layers beyond the narrow net's: they add zero to the residual stream.
            adds = name.endswith(("c_proj.weight", "c_proj.bias"))
            state[name] = torch.zeros_like(value) if adds else value
            continue
        old = source[name]
        if name.endswith(("c_attn.weight", "c_attn.bias")):
            # Queries, keys and values stand side by side and are tiled each on its own.
            tiled = torch.cat(
                [part.repeat(*[1] * (old.ndim - 1), factor) for part in old.chunk(3, dim=-1)],
                dim=-1,
            )
            state[name] = tiled if old.ndim == 1 else tiled.repeat(factor, 1) / factor
        elif old.ndim == 2 and name.endswith(("c_proj.weight", "c_fc.weight")):
            state[name] = old.repeat(factor, factor) / factor
        elif name.endswith("patch_embedding.weight"):
            state[name] = old.repeat(factor, 1)
        else:
            state[name] = old.repeat(*[1] * (old.ndim - 1), factor)
    # The output layer is tied to the embedding and would count every feature k times.
    for part in ("weight", "bias"):
        state[f"char_level_decoder.base.transformer.ln_f.{part}"] /= factor
    wide.load_state_dict(state)
    return wide.eval()


def longest_prompt() -> str:
    """Header of a four-voice chorale, and its first bar."""
    tune = next(
        clean(w.tune)
        for w in load_corpus("bach-chorales")
        if len(w.tune.voices) == 4 and clean(w.tune).field("M") in ("4/4", "C")
    )
    first = interleaved_lines(transpose(tune, "G"), omit_rests=True)[0]
    return "\n".join([*header(tune), first]) + "\n"
