"""Whole steps of our rollouts beside those of TRL 1.16's own trainer, which is no requirement (``pip install musiczoo[oracle]``).

TRL is given the tokens that we sampled and computes all the rest itself: rewards, advantages,
log-probabilities of policy and reference through transformers' own Phi-3, loss, gradient, and the
optimiser's step, after which the policies sample and learn on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor

from musiczoo.callbacks.rollouts.callback import GroupRollouts
from musiczoo.models.base.generative import Generated
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.representations.remi import Remi
from tests.small_runs import QUIET

pytest.importorskip("trl", reason="TRL is installed with musiczoo[oracle] only")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

GROUPS, SIZE, STEPS, NEW, BATCHES = 3, 4, 2, 40, 3
LOGGED = ("loss", "kl", "clip_fraction")
# The second and third are longer than the first, so that TRL pads before and we behind.
PROMPTS = [
    "Bar_None",
    "Bar_None TimeSig_4/4 Position_0",
    "Bar_None TimeSig_4/4 Position_0 Pitch_62 Velocity_127 Duration_0.2.4",
]
SMALL = {
    "pitch_range": [60, 71],
    "beat_res": {"0_1": 4},
    "num_velocities": 1,
    "special_tokens": ["PAD", "BOS", "EOS"],
    "use_tempos": False,
    "use_time_signatures": True,
    "time_signature_range": {"4": [4]},
    "use_pitchdrum_tokens": False,
    "use_programs": False,
    "use_rests": False,
    "use_chords": False,
}


class Recording(torch.optim.SGD):
    """Keeps the gradient of each step, and the weights after it."""

    def __init__(self, parameters: Any, names: Sequence[str], rate: float) -> None:
        super().__init__(parameters, lr=rate)
        self.names = names
        self.steps: list[dict[str, tuple[Tensor, Tensor]]] = []

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        gradients = [parameter.grad.clone() for parameter in parameters]
        super().step()
        after = [parameter.detach().clone() for parameter in parameters]
        self.steps.append(dict(zip(self.names, zip(gradients, after, strict=True), strict=True)))
        return loss


class Losses(lightning.Callback):
    """What each batch logs, and the advantages in it."""

    def __init__(self) -> None:
        self.batches: list[dict[str, float]] = []
        self.advantages: list[list[float]] = []

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        told = {name: float(trainer.callback_metrics[f"train/{name}"]) for name in LOGGED}
        self.batches.append({"targets": float(batch["completion"].sum()), **told})
        self.advantages.append(batch["advantages"].tolist())

    def steps(self, batches: int) -> Iterator[dict[str, float]]:
        """Means over the targets of a number of batches."""
        for start in range(0, len(self.batches), batches):
            part = self.batches[start : start + batches]
            targets = sum(one["targets"] for one in part)
            yield {
                name: sum(one[name] * one["targets"] for one in part) / targets for name in LOGGED
            }


def model(**settings: Any) -> Phi3RemiModule:
    module = Phi3RemiModule(
        layers=2,
        hidden=32,
        heads=4,
        intermediate=48,
        positions=96,
        representation=Remi(SMALL),
        **settings,
    )
    with torch.no_grad():
        for parameter in module.net.parameters():
            parameter.mul_(6 if parameter.ndim > 1 else 1)
    return module


def worth(completion: Sequence[int]) -> float:
    """The reward, of the ids of a completion."""
    return sum(math.sin(number) for number in completion) / len(completion) + 0.01 * len(completion)


def ours(
    folder: Path, beta: float, iterations: int, rate: float
) -> tuple[list[list[Generated]], Recording, Losses]:
    """A fit of ours with the pieces of each step; micro-batches of five, the last of two."""
    pieces: list[list[Generated]] = []
    made: list[Recording] = []

    def reward(step: Sequence[Generated]) -> list[float]:
        pieces.append(list(step))
        return [worth(piece.tokens[piece.scored].tolist()) for piece in step]

    def optimizer(parameters: Any) -> Recording:
        made.append(Recording(parameters, names, rate))
        return made[0]

    module = model(optimizer=optimizer)
    names = [name for name, _ in module.net.named_parameters()]
    rollouts = GroupRollouts(
        STEPS,
        prompts=PROMPTS,
        reward=reward,
        groups=GROUPS,
        group_size=SIZE,
        max_new_tokens=NEW,
        beta=beta,
        iterations=iterations,
        batch_size=5,
        folder=folder / "rollouts",
        progress=False,
    )
    losses = Losses()
    lightning.Trainer(callbacks=[rollouts, losses], **QUIET).fit(module)
    return pieces, made[0], losses


def theirs(
    folder: Path, beta: float, iterations: int, rate: float, pieces: list[list[Generated]]
) -> tuple[Recording, list[float], list[list[float]]]:
    """TRL's trainer over the same pieces; its losses and advantages."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import Phi3ForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    start = model()
    # TRL reads its reference from where the policy was read.
    start.net.save_pretrained(folder / "net")
    net = Phi3ForCausalLM.from_pretrained(folder / "net")
    backend = Tokenizer(models.WordLevel(start.representation.index, unk_token="PAD"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="PAD",
        bos_token="BOS",
        eos_token="EOS",
        padding_side="left",
    )
    losses: list[float] = []
    advantages: list[list[float]] = []
    waiting = iter(pieces)

    class Trainer(GRPOTrainer):
        def _compute_loss(self, policy: Any, inputs: Any) -> Tensor:
            loss: Tensor = super()._compute_loss(policy, inputs)
            losses.append(float(loss.detach()))
            advantages.append(inputs["advantages"].tolist())
            return loss

    def sampled(prompts: list[str], trainer: Any) -> dict[str, Any]:
        step = next(waiting)
        sides = [
            (piece.tokens[~piece.scored].tolist(), piece.tokens[piece.scored].tolist())
            for piece in step
        ]
        return {
            "prompt_ids": [prompt for prompt, _ in sides],
            "completion_ids": [said for _, said in sides],
            "logprobs": None,
        }

    def reward(completion_ids: list[list[int]], **rest: Any) -> list[float]:
        return [worth(ids) for ids in completion_ids]

    settings = GRPOConfig(
        str(folder / "trl"),
        per_device_train_batch_size=GROUPS * SIZE,
        num_generations=SIZE,
        max_completion_length=NEW,
        num_iterations=iterations,
        max_steps=STEPS * iterations,
        beta=beta,
        loss_type="bnpo",
        use_bias_correction_kl=False,
        temperature=1.0,
        learning_rate=rate,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
    )
    recorded = Recording(net.parameters(), [name for name, _ in net.named_parameters()], rate)
    trainer = Trainer(
        model=net,
        reward_funcs=reward,
        args=settings,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS]),
        processing_class=words,
        optimizers=(recorded, None),
        rollout_func=sampled,
    )
    trainer.train()
    return recorded, losses, advantages


# With one iteration the ratio of policies is 1 throughout; with two it moves, and the clip cuts.
@pytest.mark.parametrize(("beta", "iterations", "rate"), [(0.04, 1, 0.5), (1.0, 2, 0.1)])
def test_steps_equal_those_of_trl(
    tmp_path: Path, beta: float, iterations: int, rate: float
) -> None:
    pieces, our_steps, our_losses = ours(tmp_path, beta, iterations, rate)
    their_steps, their_losses, their_advantages = theirs(tmp_path, beta, iterations, rate, pieces)
    said = list(our_losses.steps(BATCHES))

    # The rollouts are such that each part of the loss counts.
    assert len({int(piece.scored.sum()) for step in pieces for piece in step}) > 5
    assert {piece.stop for step in pieces for piece in step} == {"end", "max_length"}
    assert max(one["kl"] for one in said) > 1e-3
    assert iterations == 1 or max(one["clip_fraction"] for one in said) > 0.01

    assert len(said) == len(their_losses) == STEPS * iterations
    assert [one["loss"] for one in said] == pytest.approx(their_losses, rel=1e-5, abs=1e-6)
    for number, advantages in enumerate(their_advantages):
        mine = [
            value
            for batch in our_losses.advantages[number * BATCHES : (number + 1) * BATCHES]
            for value in batch
        ]
        assert sorted(mine) == pytest.approx(sorted(advantages), rel=1e-5, abs=1e-5)
    for step, other in zip(our_steps.steps, their_steps.steps, strict=True):
        assert step.keys() == other.keys()
        for name, (gradient, weights) in step.items():
            their_gradient, their_weights = other[name]
            assert (gradient - their_gradient).norm() <= 1e-5 * their_gradient.norm(), name
            assert (weights - their_weights).norm() <= 1e-5 * their_weights.norm(), name
