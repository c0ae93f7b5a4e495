"""A training step at NotaGen-small's size: ours beside the plain way, same weights and batches.

The plain way is the usual code of the paper's architecture: patches as one-hot matrices
through a linear layer, sequences padded to the longest of the batch, and all 17 positions of every
patch through the character decoder, both with transformers' own GPT-2 (SDPA). Prints one JSON
object. On a GPU the model-FLOP utilisation of ours is given too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from musiczoo.models.bar_stream import SIZES, BarStreamNet
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.corpora.names import load_corpus
from musiczoo.representations.bar_stream import BarStreamPatches

Step = Callable[[BarStreamNet, Tensor, Tensor], Tensor]
# Peak dense bfloat16 throughput that the makers state, FLOP/s.
PEAKS = {"NVIDIA H200": 989e12, "NVIDIA H100": 989e12, "NVIDIA A100": 312e12}


def ours(net: BarStreamNet, patches: Tensor, lengths: Tensor) -> Tensor:
    """Mean loss a character of the batch."""
    values, mask = net(patches, lengths)
    return -values.sum() / mask.sum()


def plain(net: BarStreamNet, patches: Tensor, lengths: Tensor) -> Tensor:
    """The same loss by one-hot matrices and padding."""
    one_hot = (
        functional.one_hot(patches.long(), 128)
        .flatten(2)
        .to(net.patch_level_decoder.patch_embedding.weight.dtype)
    )
    inside = torch.arange(patches.shape[1], device=patches.device) < lengths.unsqueeze(1)
    embedded = net.patch_level_decoder.patch_embedding(one_hot)
    hidden = net.patch_level_decoder.base(
        inputs_embeds=embedded, attention_mask=inside.long()
    ).last_hidden_state
    conditions, targets = hidden[:, :-1][inside[:, 1:]], patches[:, 1:][inside[:, 1:]].long()
    transformer = net.char_level_decoder.transformer
    inputs = torch.cat([conditions.unsqueeze(1), transformer.wte(targets)], dim=1)
    seen = torch.cat([torch.ones_like(targets[:, :1]), (targets != 0).long()], dim=1)
    out = transformer(inputs_embeds=inputs, attention_mask=seen).last_hidden_state
    logits = functional.linear(out, transformer.wte.weight)[:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=0)


def seconds(
    step: Step, net: BarStreamNet, batches: list[tuple[Tensor, Tensor]], autocast: bool
) -> list[float]:
    """Seconds of forward and backward for each batch."""
    out = []
    device = next(net.parameters()).device
    for patches, lengths in batches:
        net.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            loss = step(net, patches, lengths)
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        out.append(time.perf_counter() - started)
    return out


def model_flops(net: BarStreamNet, patches: Tensor, lengths: Tensor) -> float:
    """FLOP of a training step on real patches and characters: forward, and twice that backward."""
    config = net.config
    rows, chars = int(lengths.sum()), int((patches[:, 1:] != 0).sum())
    linear = (
        12 * config.hidden**2 * (config.patch_layers * rows + config.char_layers * chars)
        + 128 * config.hidden * chars
    )
    attention = config.patch_layers * config.hidden * int((lengths.double() ** 2).sum())
    return 6.0 * (linear + attention)


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bfloat16", action="store_true", help="autocast to bfloat16")
    return parser.parse_args()


def chorale_batches(arguments: argparse.Namespace) -> list[tuple[Tensor, Tensor]]:
    """Patches (batch, patches, characters) and lengths (batch,); one batch more than is timed."""
    representation = BarStreamPatches(max_length=SIZES[arguments.size].patch_length)
    works = random.Random(0).sample(
        list(load_corpus("bach-chorales")), arguments.batch * (arguments.batches + 1)
    )
    encoded = [representation.encode(clean(work.tune)) for work in works]
    batches = []
    for first in range(0, len(encoded), arguments.batch):
        batch = representation.collate(encoded[first : first + arguments.batch])
        batches.append(
            (batch["patches"].to(arguments.device), batch["lengths"].to(arguments.device))
        )
    return batches


def set_dropout(net: BarStreamNet, dropout: float) -> None:
    """Sets the dropout of our code and of transformers' own."""
    for part in net.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = dropout
    for stack in (net.patch_level_decoder.base, net.char_level_decoder.transformer):
        stack.config.attn_pdrop = dropout
        for block in stack.h:
            block.attn.attn_dropout.p = dropout


def utilisation(flops_per_second: float) -> dict[str, object]:
    """Name of the GPU, and the share of its peak throughput; None for a GPU that is not listed."""
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAKS.items() if name.startswith(key)), None)
    share = None if peak is None else round(flops_per_second / peak, 4)
    return {"model_flop_utilisation": share, "gpu": name}


def main() -> None:
    arguments = parsed()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    batches = chorale_batches(arguments)
    net = BarStreamNet(SIZES[arguments.size]).to(arguments.device)
    # Without dropout both must give the same loss, or the times compare different things.
    net.eval()
    with torch.no_grad():
        losses = [float(step(net, *batches[0])) for step in (ours, plain)]
    net.train()
    set_dropout(net, arguments.dropout)

    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for step in (ours, plain):
        seconds(step, net, batches[:1], arguments.bfloat16)
    # Alternating, so that a busy moment of the machine affects both.
    for batch in batches[1:]:
        times["ours"] += seconds(ours, net, [batch], arguments.bfloat16)
        times["plain"] += seconds(plain, net, [batch], arguments.bfloat16)
    total = {name: sum(values) for name, values in times.items()}
    flops = sum(model_flops(net, *batch) for batch in batches[1:])
    real = sum(int((patches[:, 1:] != 0).sum()) for patches, _ in batches[1:])
    report: dict[str, object] = {
        "machine": {
            "device": arguments.device,
            "threads": arguments.threads,
            "torch": torch.__version__,
        },
        "parameters": sum(p.numel() for p in net.parameters()),
        "precision": "bfloat16 autocast" if arguments.bfloat16 else "float32",
        "dropout": arguments.dropout,
        "batch": arguments.batch,
        "patches": [lengths.tolist() for _, lengths in batches[1:]],
        "loss_ours_and_plain": losses,
        "seconds_ours": [round(s, 3) for s in times["ours"]],
        "seconds_plain": [round(s, 3) for s in times["plain"]],
        "ratio": round(total["plain"] / total["ours"], 3),
        "characters_per_second": {name: round(real / value) for name, value in total.items()},
        "model_flop_per_second": round(flops / total["ours"] / 1e9, 1) * 1e9,
    }
    if arguments.device.startswith("cuda"):
        report |= utilisation(flops / total["ours"])
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
