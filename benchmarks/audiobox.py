"""Audiobox Aesthetics: our net beside transformers' plain WavLM, with the same weights and clips.

The weights are random and of the published size (WavLM Base, 104 million parameters). The plain way
is ``WavLMModel`` alone on a window of ten seconds at 16 kHz, all hidden states kept, without
resampling and without the axes' networks; ours is the whole way from a stereo clip at 48 kHz to
four ratings, and the net alone. The plain way
pads a clip that is shorter than ten seconds to a whole window. Prints one JSON object. Times are
processor seconds of one thread, which other work on the machine lengthens little; the ways
alternate, and the best of several counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from musiczoo.models.audiobox import AXES, AudioboxConfig, AudioboxModule, AudioboxNet
from musiczoo.models.audiobox.module import windows_of
from musiczoo.models.audiobox.net import WINDOW

RATE = 48_000


def clip(seconds: float, seed: int) -> np.ndarray:
    """A stereo clip: some tones that fade, and a little noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    tones = [
        np.sin(2 * np.pi * pitch * times + rng.uniform(0, 6)) * np.exp(-times * rng.uniform(0, 0.3))
        for pitch in rng.uniform(60, 2000, 6)
    ]
    sound = np.stack([sum(tones), sum(tones[:4])]) / 8 + rng.normal(0, 0.003, (2, len(times)))
    return sound.astype(np.float32)


def build() -> AudioboxModule:
    """A model of the published size with random weights."""
    torch.manual_seed(0)
    net = AudioboxNet(AudioboxConfig(), dict.fromkeys(AXES, (5.0, 2.0)))
    with torch.no_grad():
        for weights in net.layer_weights.values():
            weights.normal_()
    return AudioboxModule(net).eval()


def seconds_of(step: Callable[[], object]) -> float:
    """Seconds of the processor."""
    started = time.process_time()
    step()
    return time.process_time() - started


def compare(module: AudioboxModule, seconds: float, repeats: int) -> dict[str, object]:
    """Times of the ways for a clip of the given length."""
    samples = clip(seconds, seed=1)
    window = torch.from_numpy(windows_of(samples, RATE)[0])[None]
    padded = torch.nn.functional.pad(window, (0, WINDOW - window.shape[1]))
    steps: dict[str, Callable[[], object]] = {
        "wavlm": lambda: module.net.wavlm_model(padded, output_hidden_states=True),
        "net": lambda: module.net(window),
        "whole_way": lambda: module.ratings([samples], RATE),
    }
    with torch.inference_mode():
        rounds = [
            {name: seconds_of(step) for name, step in steps.items()} for _ in range(repeats + 1)
        ][1:]
        theirs = module.net.wavlm_model(padded, output_hidden_states=True).hidden_states
        ours = module.net.states(window)
        # For a shorter clip the plain way computes something else: it neither masks nor shortens.
        apart = (
            max(float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True))
            if seconds == 10
            else None
        )
    best = {name: min(one[name] for one in rounds) for name in steps}
    print(
        f"{seconds:g} s: { ({name: round(value, 3) for name, value in best.items()}) }",
        file=sys.stderr,
    )
    return {
        "processor_seconds": {name: [round(one[name], 4) for one in rounds] for name in steps},
        "net_to_wavlm": round(best["net"] / best["wavlm"], 3),
        "whole_way_to_wavlm": round(best["whole_way"] / best["wavlm"], 3),
        "times_real_time": round(seconds / best["whole_way"], 2),
        "largest_difference_of_states": apart,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        nargs="+",
        default=[10.0, 5.0, 2.0],
        help="lengths of clips, at most 10",
    )
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    module = build()
    report: dict[str, object] = {
        "machine": {"threads": 1, "torch": torch.__version__},
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "precision": "float32",
        "clips": {
            f"{seconds:g}": compare(module, seconds, arguments.repeats)
            for seconds in arguments.seconds
        },
    }
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
