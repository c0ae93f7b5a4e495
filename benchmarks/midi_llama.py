"""MIDI-LLaMA beside the plain ways, in one run.

    python -m benchmarks.midi_llama > benchmarks/results/midi_llama.json

Three parts, processor time and clock of each:

- ``align``: a step of the first stage with cached features, beside the same step that runs the
  encoder (batch 16, works of the four corpora, the sizes of experiments/midi_llama.py)
- ``answers``: 16 questions about 16 pieces at once, beside ``generate`` of transformers on the same
  embeddings, one by one and as one left-padded batch; greedy, the same number of tokens
- ``ask``: ``musiczoo ask`` from a cold process
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from experiments._machine import machine
from musiczoo.datamodules import MusicQADataModule
from musiczoo.llm.notation_qa import notation_records
from musiczoo.models.midi_llama import MidiLlamaModule
from musiczoo.models.midi_llama.prompts import embedded_prompts, rows_of_prompts
from musiczoo.music.corpora import load_corpus
from musiczoo.music.files import write
from musiczoo.music.midi import to_score
from musiczoo.representations.music_questions import Asked


def timed(act: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Medians of the clock and of processor time, seconds."""
    clock, cpu = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        act()
        clock.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    return {"s": sorted(clock)[rounds // 2], "cpu_s": sorted(cpu)[rounds // 2]}


def model(segments: int = 8) -> MidiLlamaModule:
    torch.manual_seed(0)
    return MidiLlamaModule(segments=segments, projection="mlp").eval()


def works(count: int) -> list[Any]:
    found: list[Any] = []
    for name in ("bach-chorales", "ryan", "oneill", "aird"):
        corpus = load_corpus(name, progress=False)
        found += [corpus[number] for number in range(count // 4)]
    return found


def align(rounds: int) -> dict[str, Any]:
    """A step: forward pass, backward pass, AdamW on the projection."""
    module = model().train()
    some = works(160)
    records = [r for r in notation_records(some, "train") if r.task == "qa"]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, cached in (("cached", True), ("uncached", False)):
            data = MusicQADataModule(
                records,
                some,
                representation=module.representation,
                model=module,
                cached=cached,
                cache=cache,
                batch_size=16,
                val_fraction=0.0,
                progress=False,
            )
            batches = [batch for batch, _ in zip(data.train_dataloader(), range(12), strict=False)]
            optimizer = torch.optim.AdamW(module.net.projection.parameters(), lr=5e-4)
            turn = iter(batches * (rounds + 2))

            def step(optimizer: Any = optimizer, turn: Any = turn) -> None:
                batch = next(turn)
                scored = module.log_probs(batch)
                loss = -scored.values.sum() / scored.mask.sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

            step()
            found[name] = timed(step, rounds)
    found["times"] = {key: found["uncached"][key] / found["cached"][key] for key in ("s", "cpu_s")}
    return found


def answers(rounds: int, tokens: int) -> dict[str, Any]:
    """Greedy answers of a fixed number of tokens."""
    module = model()
    pieces = [work.tune for work in works(16)]
    questions = ["Is it in major or minor?", "How many voices are there?", "Describe this piece."]
    asked = [Asked(piece, questions[n % 3]) for n, piece in enumerate(pieces)]
    rows = rows_of_prompts(asked, module.representation)
    prompts = embedded_prompts(module, rows)
    lm = module.net.lm
    end = module.representation.end
    fixed = {
        "do_sample": False,
        "max_new_tokens": tokens,
        "min_new_tokens": tokens,
        "eos_token_id": end,
        "pad_token_id": 0,
    }
    longest = max(len(prompt) for prompt in prompts)
    batch = torch.zeros(len(prompts), longest, prompts[0].shape[1])
    mask = torch.zeros(len(prompts), longest, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        batch[row, longest - len(prompt) :], mask[row, longest - len(prompt) :] = prompt, 1

    def ours() -> list[Any]:
        return module.generate(rows, max_new_tokens=tokens, min_new_tokens=tokens)

    @torch.no_grad()
    def one_by_one() -> list[Any]:
        return [
            lm.generate(
                inputs_embeds=prompt[None], attention_mask=torch.ones(1, len(prompt)), **fixed
            )[0]
            for prompt in prompts
        ]

    @torch.no_grad()
    def padded() -> Any:
        return lm.generate(inputs_embeds=batch, attention_mask=mask, **fixed)

    # The same tokens, as far as rounding lets them be.
    expected = one_by_one()
    found = [result.tokens[result.scored, 1] for result in ours()]
    same = sum(
        int((one[:tokens] == two[:tokens]).sum()) for one, two in zip(found, expected, strict=True)
    )
    ways = {"ours": ours, "one_by_one": one_by_one, "padded": padded}
    measured = {name: timed(way, rounds) for name, way in ways.items()}
    return {
        "tokens": tokens,
        "prompt_tokens": [len(prompt) for prompt in prompts],
        "equal_tokens": f"{same} of {tokens * len(prompts)}",
        **measured,
        "times": {
            name: {key: measured[name][key] / measured["ours"][key] for key in ("s", "cpu_s")}
            for name in ("one_by_one", "padded")
        },
    }


def ask(rounds: int) -> dict[str, Any]:
    """Seconds of cold processes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "piece.mid"
        write(to_score(load_corpus("ryan", progress=False)[3].tune), file)
        words = [sys.executable, "-m", "musiczoo", "ask", str(file), "Is it in major or minor?"]
        seconds: list[float] = []
        for _ in range(rounds):
            began = time.perf_counter()
            run = subprocess.run(words, check=True, capture_output=True, text=True)
            seconds.append(time.perf_counter() - began)
    return {"seconds": sorted(seconds), "answer": run.stdout.strip()}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    document = {
        "machine": machine(),
        "threads": options.threads,
        "align": align(options.rounds),
        "answers": answers(options.rounds, options.tokens),
        "ask": ask(3),
    }
    json.dump(document, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
