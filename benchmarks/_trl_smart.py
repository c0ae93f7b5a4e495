"""An iteration as SMART's script makes it: TRL's trainer on transformers' Phi-3.

Pieces are rendered and scored one after the other.

The settings are those of SMART's published script (64 = 8 x 8 completions in one batch, 256 tokens,
beta 0.04, the loss of TRL at that time), in float32 on the processor.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.music.sound.rendering import render_clip
from musiczoo.representations.remi import Remi
from musiczoo.rewards.audio import AudioReward


def tokenizer(representation: Remi) -> Any:
    """The vocabulary as a tokenizer of transformers: names with spaces between."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel(representation.index, unk_token="PAD"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="PAD",
        bos_token="BOS",
        eos_token="EOS",
        padding_side="left",
    )


@dataclass
class Steps:
    """Times and results of the steps of a fit.

    Attributes:
        whole: Seconds of each step.
        parts: Seconds of its parts.
        rewards: Mean reward of each step.
        lengths: Mean sampled tokens of a completion.
    """

    whole: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    rewards: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)

    def add(self, other: Steps) -> None:
        """Appends the steps of another fit."""
        for mine, further in (
            (self.whole, other.whole),
            (self.rewards, other.rewards),
            (self.lengths, other.lengths),
        ):
            mine += further
        for part, seconds in other.parts.items():
            self.parts.setdefault(part, []).extend(seconds)


@dataclass(frozen=True)
class Fit:
    """The settings of a fit, for both trainers.

    Attributes:
        prompts: All of them make a step.
        group_size: Completions of each.
        new_tokens: Longest completion.
        micro_batch: Completions at a time, a divisor of all of them.
        steps: Optimiser steps.
        seed: Of the sampling.
    """

    prompts: Sequence[str]
    group_size: int
    new_tokens: int
    micro_batch: int
    steps: int
    seed: int

    @property
    def completions(self) -> int:
        """Of a step."""
        return len(self.prompts) * self.group_size


def trl_steps(
    module: Phi3RemiModule,
    reward: AudioReward,
    fit: Fit,
    *,
    gradient_checkpointing: bool,
) -> Steps:
    """Trains a copy of the net by TRL."""
    from datasets import Dataset
    from transformers import Phi3ForCausalLM, PrinterCallback

    steps = Steps(parts={"sample": [], "score": [], "reference and update": []})
    with tempfile.TemporaryDirectory() as folder:
        # TRL reads the reference from the folder that the policy was read from.
        module.net.save_pretrained(Path(folder) / "net")
        trainer = timed_trainer(steps)(
            model=Phi3ForCausalLM.from_pretrained(Path(folder) / "net"),
            reward_funcs=timed_scores(module, reward, steps),
            args=trl_settings(fit, Path(folder) / "run", gradient_checkpointing),
            train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in fit.prompts]),
            processing_class=tokenizer(module.representation),
            callbacks=[step_clock(steps)],
        )
        trainer.remove_callback(PrinterCallback)  # it would print between the JSON
        trainer.train()
    return steps


def trl_settings(fit: Fit, folder: Path, gradient_checkpointing: bool) -> Any:
    """TRL's settings of a fit: those of SMART's published script."""
    from trl import GRPOConfig

    return GRPOConfig(
        str(folder),
        per_device_train_batch_size=fit.micro_batch,
        gradient_accumulation_steps=fit.completions // fit.micro_batch,
        num_generations=fit.group_size,
        max_completion_length=fit.new_tokens,
        num_iterations=1,
        beta=0.04,
        loss_type="bnpo",
        use_bias_correction_kl=False,
        temperature=1.0,
        top_k=0,
        learning_rate=1e-4,
        max_steps=fit.steps,
        logging_steps=1,
        gradient_checkpointing=gradient_checkpointing,
        use_cpu=True,
        bf16=False,
        seed=fit.seed,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )


def timed_scores(
    module: Phi3RemiModule, reward: AudioReward, steps: Steps
) -> Callable[..., list[float | None]]:
    """A reward function of TRL: each completion is decoded, rendered and scored, one by one."""

    def score_one(prompt: str, completion: list[int]) -> float | None:
        ids = module.representation.encode_text(prompt).tolist()
        rendering = reward.renderer.rendering
        clip = render_clip(module.representation.decode([*ids, *completion]), rendering)
        if clip.samples is None:
            return None
        return float(reward.score_audio([clip.samples], rendering.sample_rate).values[0])

    def score(
        prompts: list[str], completion_ids: list[list[int]], **rest: Any
    ) -> list[float | None]:
        begun = time.perf_counter()
        values = [score_one(*pair) for pair in zip(prompts, completion_ids, strict=True)]
        steps.parts["score"].append(time.perf_counter() - begun)
        steps.lengths.append(sum(map(len, completion_ids)) / len(completion_ids))
        known = [value for value in values if value is not None]
        steps.rewards.append(sum(known) / max(1, len(known)))
        return values

    return score


def timed_trainer(steps: Steps) -> Any:
    """TRL's trainer as a class that records the seconds of sampling."""
    from trl import GRPOTrainer

    class Timed(GRPOTrainer):
        def _generate_single_turn(self, *arguments: Any, **rest: Any) -> Any:
            begun = time.perf_counter()
            result = super()._generate_single_turn(*arguments, **rest)
            steps.parts["sample"].append(time.perf_counter() - begun)
            return result

    return Timed


def step_clock(steps: Steps) -> Any:
    """A callback of transformers that records the seconds of each step, and of its rest."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        began = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            now = time.perf_counter()
            steps.whole.append(now - self.began)
            known = steps.parts["sample"][-1] + steps.parts["score"][-1]
            steps.parts["reference and update"].append(now - self.began - known)
            self.began = now

    return Clock()
