"""A fit of a tiny MIDI-LLaMA in one or two processes."""

from __future__ import annotations

import sys
from pathlib import Path

import lightning
import torch

from musiczoo.datamodules import MusicQADataModule
from tests.models.midi_llama.tiny_midi_llama import build, records, works
from tests.small_runs import QUIET


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def run(folder: Path, processes: int) -> dict[str, torch.Tensor]:
    import subprocess

    out = folder / f"{processes}.pt"
    words = [sys.executable, "-m", "tests.models.midi_llama.two_process_fit", str(out)]
    subprocess.run([*words, str(processes)], check=True, timeout=240)
    return torch.load(out, weights_only=True)


def main() -> None:
    out, processes = Path(sys.argv[1]), int(sys.argv[2])
    module = build(optimizer=sgd)
    some = works(11)
    data = MusicQADataModule(
        records(some),
        some,
        batch_size=4 // processes,
        val_fraction=0.1,
        progress=False,
        cache=out.parent,
    )
    ddp = {"devices": processes, "strategy": "ddp"} if processes > 1 else {}
    trainer = lightning.Trainer(**QUIET, **ddp, max_epochs=2)
    trainer.fit(module, data)
    if trainer.is_global_zero:
        torch.save(dict(module.net.state_dict()), out)


if __name__ == "__main__":
    main()
