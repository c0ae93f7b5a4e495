"""A step on preference pairs: ours beside four passes a pair, with the same weights and pairs.

The loss is DPOP, forward and backward without the optimiser's step, over pairs of real pieces. Ours
is one pass of the policy over all pieces of the batch, with the reference's sums stored beside the
pairs. The plain way goes through the pairs one by one, as NotaGen's published trainer does: chosen
and rejected piece through the policy and through a frozen copy of it, each alone, the gradient
accumulated. It is timed twice, with our net and with the net computed as ``benchmarks/training.py``
describes the published way (one-hot patches, padded characters).

Pairs are drawn in two ways: ``apart``, no piece is in two pairs; ``crossed``, every one of some
chosen with every one of some rejected pieces, which is how NotaGen pairs them. Prints one JSON
object. Times are seconds of the processor in one thread, which other work on the machine lengthens
little. Memory is measured in processes of their own: what one step adds to the peak of resident
memory, for our step and for a likelihood step on the same sequences.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.training import plain
from musiczoo.models.bar_stream import SIZES, BarStreamModule, BarStreamNet
from musiczoo.models.objectives import DPOP, Likelihood, dpop_loss
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.corpora.names import load_corpus

Sums = Callable[[BarStreamNet, dict[str, Tensor]], Tensor]
Pairs = list[tuple[Tensor, Tensor]]
DROPOUT = 0.1


def build(model: str) -> BarStreamModule:
    """The shipped checkpoint, or a net of NotaGen's size with random weights."""
    torch.manual_seed(0)
    if model in SIZES:
        return BarStreamModule(size=model, dropout=DROPOUT).train()
    return BarStreamModule(pretrained=model, dropout=DROPOUT).train()


def pieces(module: BarStreamModule, corpus: str, count: int, seed: int) -> list[Tensor]:
    """Encoded pieces, drawn from a corpus."""
    works = random.Random(seed).sample(list(load_corpus(corpus)), count)
    return [module.representation.encode(clean(work.tune)) for work in works]


def draw_pairs(
    module: BarStreamModule, arguments: argparse.Namespace, crossed: bool, seed: int
) -> Pairs:
    """The pairs of one batch."""
    if not crossed:
        drawn = pieces(module, arguments.corpus, 2 * arguments.pairs, seed)
        return list(zip(drawn[: arguments.pairs], drawn[arguments.pairs :], strict=True))
    side = round(arguments.pairs**0.5)
    drawn = pieces(module, arguments.corpus, 2 * side, seed)
    return [(chosen, rejected) for chosen in drawn[:side] for rejected in drawn[side:]]


def our_sums(net: BarStreamNet, batch: dict[str, Tensor]) -> Tensor:
    """Log-probability of each piece as our net computes it."""
    values, _ = net(batch["patches"], batch["lengths"])
    return values.sum(dim=1)


def plain_sums(net: BarStreamNet, batch: dict[str, Tensor]) -> Tensor:
    """The same of one piece by one-hot matrices and padding."""
    mean = plain(net, batch["patches"], batch["lengths"])
    return -mean.unsqueeze(0) * (batch["patches"][:, 1:] != 0).sum()


def ours(module: BarStreamModule, batch: dict[str, Tensor]) -> float:
    """One pass over all pieces; the mean loss of the pairs."""
    result = DPOP()(module, batch)
    loss = result.total / result.count
    loss.backward()
    return float(loss.detach())


def four_passes(
    module: BarStreamModule, reference: BarStreamNet, pairs: Pairs, sums: Sums
) -> float:
    """Each pair alone; the mean loss."""
    total = 0.0
    for pair in pairs:
        sides = [module.representation.collate([piece]) for piece in pair]
        policy = [sums(module.net, side) for side in sides]
        with torch.no_grad():
            frozen = [sums(reference, side) for side in sides]
        loss = dpop_loss(*policy, *frozen) / len(pairs)
        loss.backward()
        total += float(loss.detach())
    return total


def preference_batch(
    module: BarStreamModule, reference: BarStreamNet, pairs: Pairs
) -> dict[str, Tensor]:
    """The pairs as a batch of our objective."""
    collated = [
        module.representation.collate([piece])
        for side in zip(*pairs, strict=True)
        for piece in side
    ]
    with torch.no_grad():
        sums = torch.cat([our_sums(reference, one) for one in collated])
    batch = module.representation.collate(
        [piece for side in zip(*pairs, strict=True) for piece in side]
    )
    return {**batch, "reference": sums.double()}


def timed(step: Callable[[], float], module: BarStreamModule) -> float:
    """Seconds of the processor for a step."""
    module.zero_grad(set_to_none=True)
    started = time.process_time()
    step()
    return time.process_time() - started


def gradient(step: Callable[[], float], module: BarStreamModule) -> tuple[float, Tensor]:
    """Loss and gradient of a step without dropout."""
    module.eval()
    module.zero_grad(set_to_none=True)
    loss = step()
    module.train()
    return loss, torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def resident(name: str) -> int:
    """Bytes of resident memory: ``VmRSS`` now, ``VmHWM`` at their peak."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def forget_peak() -> None:
    """Resets the peak of resident memory (Linux, proc(5))."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def memory(arguments: argparse.Namespace) -> None:
    """Prints the bytes that one step adds to the peak of resident memory.

    Runs in a process of its own.
    """
    module = build(arguments.model)
    pairs = draw_pairs(module, arguments, arguments.memory.endswith("crossed"), seed=1)
    batch = preference_batch(module, module.net, pairs[:1])
    DPOP()(module, batch)  # the first pass allocates memory that stays
    batch = module.representation.collate(
        [piece for side in zip(*pairs, strict=True) for piece in side]
    )
    batch["reference"] = torch.zeros(len(batch["lengths"]), dtype=torch.float64)
    objective = DPOP() if arguments.memory.startswith("preference") else Likelihood()
    forget_peak()
    before = resident("VmRSS")
    result = objective(module, batch)
    (result.total / result.count).backward()
    json.dump({"before": before, "added": resident("VmHWM") - before}, sys.stdout)


def measured_memory(arguments: argparse.Namespace, kind: str, pairs: str) -> int:
    """Bytes that a step adds, measured in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.preference",
        *sys.argv[1:],
        "--memory",
        f"{kind}-{pairs}",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout)["added"])


def compare(
    module: BarStreamModule, reference: BarStreamNet, arguments: argparse.Namespace, crossed: bool
) -> dict[str, object]:
    """Times of the three ways over the same batches of pairs."""
    batches = [
        draw_pairs(module, arguments, crossed, seed) for seed in range(1, arguments.batches + 1)
    ]
    times: dict[str, list[float]] = {"ours": [], "four_passes": [], "four_passes_published": []}
    agree = []
    for number, pairs in enumerate(batches):
        batch = preference_batch(module, reference, pairs)
        steps: dict[str, Callable[[], float]] = {
            "ours": lambda batch=batch: ours(module, batch),
            "four_passes": lambda pairs=pairs: four_passes(module, reference, pairs, our_sums),
            "four_passes_published": lambda pairs=pairs: four_passes(
                module, reference, pairs, plain_sums
            ),
        }
        if number == 0:
            # Without dropout all three must give the same loss and gradient, or the times compare
            # different things.
            found = [gradient(step, module) for step in steps.values()]
            agree = [
                {
                    "loss": round(loss, 6),
                    "gradient_error": float((g - found[0][1]).norm() / found[0][1].norm()),
                }
                for loss, g in found
            ]
        # Alternating, so that a busy moment of the machine affects all ways; the best of the
        # repetitions counts.
        rounds = [
            {name: timed(step, module) for name, step in steps.items()}
            for _ in range(arguments.repeats)
        ]
        for name in steps:
            times[name].append(min(one[name] for one in rounds))
        print(
            f"batch {number + 1}:"
            f" { ({name: round(values[-1], 2) for name, values in times.items()}) }",
            file=sys.stderr,
        )
    total = {name: sum(values) for name, values in times.items()}
    sides = [[len(piece) for pair in pairs for piece in pair] for pairs in batches]
    return {
        "pairs": sum(map(len, batches)),
        "distinct_pieces": sum(
            len({id(piece) for pair in pairs for piece in pair}) for pairs in batches
        ),
        "patches_a_piece": round(sum(map(sum, sides)) / sum(map(len, sides)), 1),
        "agreement": dict(zip(times, agree, strict=True)),
        "processor_seconds": {
            name: [round(value, 3) for value in values] for name, values in times.items()
        },
        "ratio_to_four_passes": round(total["four_passes"] / total["ours"], 3),
        "ratio_to_four_passes_published": round(total["four_passes_published"] / total["ours"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model",
        default="bar-stream",
        help="a model of the zoo, or small, medium, large: NotaGen's sizes, random weights",
    )
    parser.add_argument("--corpus", default="oneill")
    parser.add_argument(
        "--pairs", type=int, default=9, help="of a batch; crossed pairs want a square number"
    )
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory:
        memory(arguments)
        return
    module = build(arguments.model)
    # The policy differs a little from the reference, so that all parts of the loss have a gradient.
    reference = copy.deepcopy(module.net).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 1e-4)
    report: dict[str, object] = {
        "machine": {"threads": 1, "torch": torch.__version__},
        "model": arguments.model,
        "parameters": sum(p.numel() for p in module.parameters()),
        "corpus": arguments.corpus,
        "pairs_a_batch": arguments.pairs,
        "precision": "float32",
        "dropout": DROPOUT,
    }
    for name, crossed in (("apart", False), ("crossed", True)):
        added = {
            kind: measured_memory(arguments, kind, name) for kind in ("likelihood", "preference")
        }
        report[name] = {
            **compare(module, reference, arguments, crossed),
            "step_memory_bytes": added,
            "memory_ratio_to_likelihood": round(added["preference"] / added["likelihood"], 3),
        }
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
