"""Rollouts inside one fit: what a step computes, what it leaves behind, what is refused, and several processes."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

from musiczoo.callbacks.rollouts.callback import GroupRollouts
from musiczoo.callbacks.rollouts.files import RolloutFiles
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.adapters import LoRA
from musiczoo.models.base.generative import Generated
from musiczoo.models.m3 import M3Module
from musiczoo.models.objectives import GRPO, Likelihood
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.music_questions import Asked
from musiczoo.rewards import Mixture
from tests.callbacks.tiny_rollouts import (
    GROUPS,
    PROMPTS,
    SIZE,
    STEPS,
    Speaker,
    fit,
    keep_everywhere,
    letters,
    model,
    rollouts,
    sgd,
)
from tests.callbacks.tiny_rounds import data
from tests.models.generative import ARCHITECTURES, build
from tests.models.midi_llama.tiny_midi_llama import tune
from tests.small_runs import QUIET, differing

pytestmark = pytest.mark.filterwarnings("ignore")


class Batches(lightning.Callback):
    """The batches as they were trained on."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seen.append(batch)


# ------------------------------------------------------------------------------------------------- what a step computes


def advantages(rewards: Sequence[float]) -> list[float]:
    found = []
    for start in range(0, len(rewards), SIZE):
        group = rewards[start : start + SIZE]
        mean = sum(group) / SIZE
        deviation = math.sqrt(sum((reward - mean) ** 2 for reward in group) / (SIZE - 1))
        found += [(reward - mean) / (deviation + 1e-4) for reward in group]
    return found


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_a_step_is_the_gradient_worked_out_by_hand(tmp_path, batch_size):
    # A reference that is not the policy: the second step, whose reference is the policy of before
    # the first.
    module = fit(
        rollouts(tmp_path, steps=2, batch_size=batch_size, beta=0.3),
        model(dropout=0.0, optimizer=lambda p: torch.optim.SGD(p, lr=0.5)),
    )
    begin, between = model(dropout=0.0), model(dropout=0.0)
    files = RolloutFiles(tmp_path)
    for step, policy in ((1, begin), (2, between)):
        policy.train()
        rows = files.step(step)
        expected = advantages([row["reward"] for row in rows])
        assert [row["advantage"] for row in rows] == pytest.approx(expected, rel=1e-6)
        costs = []
        for row, advantage in zip(rows, expected, strict=True):
            # What stands behind the prompt and is not padding was sampled.
            tokens = row["tokens"]
            prompt = len(
                policy.representation.encode_text(row["prompt"], annotate=False, end=False)
            )
            mask = (tokens[prompt:] != 0).flatten()
            assert row["sampled"] == int(mask.sum())
            batch = policy.representation.collate([tokens])
            said = policy.log_probs(batch).values[0][-len(mask) :][mask]
            with torch.no_grad():
                reference = begin.log_probs(batch).values[0][-len(mask) :][mask]
            ratio = (said - said.detach()).exp()
            divergence = (reference - said).exp() - (reference - said) - 1
            assert row["kl"] == pytest.approx(float(divergence.detach().mean()), rel=1e-3, abs=1e-7)
            costs.append(
                -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
                + 0.3 * divergence
            )
        loss = torch.cat(costs).mean()
        gradients = torch.autograd.grad(
            loss, [p for p in policy.parameters() if p.requires_grad], allow_unused=True
        )
        trained = [(name, p.detach()) for name, p in policy.named_parameters() if p.requires_grad]
        after = {
            name: p if change is None else p - 0.5 * change
            for (name, p), change in zip(trained, gradients, strict=True)
        }
        between.load_state_dict({**between.state_dict(), **after})
    for name, value in after.items():
        torch.testing.assert_close(module.get_parameter(name).detach(), value, rtol=1e-4, atol=2e-6)
    assert (
        float((module.get_parameter(name) - model(dropout=0.0).get_parameter(name)).abs().max())
        > 1e-4
    )


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_earns_more(tmp_path, architecture):
    # Three hundred rollouts are enough to learn to end early.
    def short(pieces: Sequence[Generated]) -> list[float]:
        return [-float(piece.scored.sum()) for piece in pieces]

    module = build(architecture, optimizer=lambda p: torch.optim.AdamW(p, lr=0.02))
    generation = {}
    if architecture == "bar_stream":
        module.stream = Speaker(module)
    callback = rollouts(
        tmp_path,
        steps=12,
        groups=1,
        group_size=24,
        batch_size=24,
        prompts=[Asked(tune(1), "Key?") if architecture == "midi_llama" else ""],
        reward=short,
        max_length={"bar_stream": 4, "midi_llama": 51}.get(architecture, 24),
        generation=generation,
        beta=0.0,
    )
    fit(callback, module)
    rewards = [report["reward"] for report in callback.reports]
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 2


def test_batches_and_iterations(tmp_path):
    watch = Batches()
    fit(rollouts(tmp_path, steps=1, iterations=2, batch_size=4, reward=letters), callbacks=[watch])
    shapes = [len(batch["lengths"]) for batch in watch.seen]
    assert shapes == [4, 2, 4, 2]
    for one, other in ((0, 2), (1, 3)):
        for name in watch.seen[one]:
            assert torch.equal(watch.seen[one][name], watch.seen[other][name])
    lengths = torch.cat([batch["lengths"] for batch in watch.seen[:2]]).tolist()
    assert lengths == sorted(lengths, reverse=True)
    # The old policy is that of before the first of the two steps, in eval mode: here it is the
    # reference too.
    assert torch.equal(watch.seen[0]["old_log_probs"], watch.seen[0]["ref_log_probs"])
    once = Batches()
    fit(rollouts(tmp_path / "once", steps=1), callbacks=[once])
    assert all("old_log_probs" not in batch for batch in once.seen)
    assert sorted(once.seen[0]) == [
        "advantages",
        "completion",
        "lengths",
        "patches",
        "ref_log_probs",
    ]


def test_sampling_is_in_eval_mode_and_leaves_the_mode(tmp_path):
    modes: list[bool] = []

    class Look(lightning.Callback):
        def on_train_batch_start(
            self, trainer: Any, module: Any, batch: Any, batch_idx: int
        ) -> None:
            modes.append(module.training and module.net.training)

    module = fit(rollouts(tmp_path), callbacks=[Look()])
    assert module.stream.training == [False] * STEPS
    assert modes == [True] * STEPS * 3
    assert [len(call) for call in module.stream.calls] == [GROUPS * SIZE] * STEPS


def test_prompts_are_drawn_by_seed_and_step_alone(tmp_path):
    class Source:
        name = "source"

        def __init__(self) -> None:
            self.drawn: list[float] = []

        def draw(self, count: int, rng: Any) -> list[str]:
            self.drawn.append(rng.random())
            return PROMPTS[:count]

    first, second, other = Source(), Source(), Source()
    fit(rollouts(tmp_path / "a", prompts=first))
    fit(rollouts(tmp_path / "b", prompts=second, steps=2))
    fit(rollouts(tmp_path / "c", prompts=other, steps=2, seed=1))
    assert len({*first.drawn, *other.drawn}) == 5
    assert second.drawn == first.drawn[:2]


def test_an_adapter_needs_no_copy_and_its_base_is_the_reference(tmp_path):
    watch = Batches()
    module = model(dropout=0.1)
    module.add_lora(LoRA(rank=2, dropout=0.0))
    base = model(dropout=0.0)
    trainable = {name for name, p in module.named_parameters() if p.requires_grad}
    fit(rollouts(tmp_path, beta=0.1), module, callbacks=[watch])
    assert not RolloutFiles(tmp_path).reference.exists()
    assert {name for name, p in module.named_parameters() if p.requires_grad} == trainable
    assert any(
        not torch.equal(p, torch.zeros_like(p))
        for name, p in module.named_parameters()
        if "lora_B" in name
    )
    for batch in (watch.seen[0], watch.seen[-1]):
        with torch.no_grad():
            said = base.log_probs(batch).values
        torch.testing.assert_close(
            batch["ref_log_probs"][batch["completion"]],
            said[batch["completion"]],
            rtol=1e-5,
            atol=1e-5,
        )


def test_the_rate_falls_to_zero_where_the_module_asks_for_it(tmp_path):
    rates: list[float] = []

    class Look(lightning.Callback):
        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            rates.append(optimizer.param_groups[0]["lr"])

    fit(rollouts(tmp_path, iterations=2, steps=2), model(cooldown_steps=4), callbacks=[Look()])
    assert rates == pytest.approx([1e-3, 0.75e-3, 0.5e-3, 0.25e-3])


def test_the_divergence_is_told_at_beta_zero_too(tmp_path):
    watch = Batches()
    callback = rollouts(tmp_path / "a", beta=0.0, steps=4, log_kl=3)
    fit(callback, callbacks=[watch])
    assert [math.isnan(report["kl"]) for report in callback.reports] == [False, True, True, False]
    assert callback.reports[0]["kl"] == pytest.approx(0, abs=1e-9)
    assert callback.reports[3]["kl"] > 1e-5
    assert all("ref_log_probs" not in batch for batch in watch.seen)
    fit(rollouts(tmp_path / "b", beta=0.0, log_kl=0))
    assert not RolloutFiles(tmp_path / "b").reference.exists()


def test_any_objective_may_be_trained(tmp_path):
    watch = Batches()
    fit(
        rollouts(
            tmp_path,
            objective=GRPO(beta=0.0, aggregation="dr_grpo", max_completion_length=96),
            log_kl=0,
        ),
        callbacks=[watch],
    )
    assert all("ref_log_probs" not in batch for batch in watch.seen)


# ------------------------------------------------------------------------------------------------- what it leaves behind


def test_with_and_without_a_data_module(tmp_path):
    alone = fit(rollouts(tmp_path / "alone"))
    source = data()
    module = model()
    beside = fit(rollouts(tmp_path / "beside"), module, source=source)
    assert not differing(alone, beside)
    assert isinstance(module.objective, Likelihood)
    # The loaders were at rest, and work again.
    trainer = lightning.Trainer(max_epochs=1, **QUIET)
    trainer.fit(module, source)
    assert trainer.global_step == 4
    loader = fit(rollouts(tmp_path / "loader"), source=source.train_dataloader())
    assert not differing(alone, loader)


def test_reports_and_logs(tmp_path):
    def brackets(pieces: Sequence[Generated]) -> list[float]:
        return [float(piece.text.count("[")) for piece in pieces]

    logger = CSVLogger(tmp_path / "logs")
    callback = rollouts(tmp_path / "run", reward=Mixture({letters: 1.0, brackets: 2.0}))
    module = fit(callback, logger=logger)
    assert [report["step"] for report in callback.reports] == [1, 2, 3]
    report = callback.reports[-1]
    rows = RolloutFiles(tmp_path / "run").step(3)
    rewards = torch.tensor([row["reward"] for row in rows], dtype=torch.float64)
    assert report["reward"] == pytest.approx(float(rewards.mean()))
    assert report["reward_std"] == pytest.approx(float(rewards.std()))
    assert set(report["details"]) == {"letters", "brackets"}
    assert report["details"]["letters"] == pytest.approx(
        sum(row["details"]["letters"] for row in rows) / 6
    )
    assert report["length"] == sum(row["sampled"] for row in rows) / 6
    assert report["entropy"] == pytest.approx(
        -sum(row["log_prob"] for row in rows) / sum(row["sampled"] for row in rows)
    )
    assert report["completions"] == report["scored"] == 6
    assert set(report["seconds"]) == {"sample", "score", "reference", "update"}
    assert {"mixture", "letters", "brackets"} <= set(report["reward_seconds"])
    assert json.loads((tmp_path / "run/reports.json").read_text())[2]["reward"] == report["reward"]
    logged = (tmp_path / "logs").rglob("metrics.csv")
    header, *lines = next(logged).read_text().splitlines()
    names = header.split(",")
    assert {
        "rollouts/reward",
        "rollouts/details/brackets",
        "rollouts/seconds/update",
        "rollouts/reward_seconds/letters",
    } <= set(names)
    assert sum(bool(line.split(",")[names.index("rollouts/reward")]) for line in lines) == 3
    told = module.provenance["training"][-1]
    assert told["steps"] == 3
    assert told["rollouts"]["reward"] == "mixture"
    assert told["rollouts"]["objective"]["beta"] == 0.04
    save_checkpoint(module, tmp_path / "folder")


def test_what_can_be_monitored(tmp_path):
    from lightning.pytorch.callbacks import ModelCheckpoint

    best = ModelCheckpoint(
        tmp_path / "best",
        monitor="rollouts/reward",
        mode="max",
        every_n_train_steps=1,
        save_top_k=1,
    )
    callback = rollouts(tmp_path / "run")
    fit(callback, callbacks=[best], enable_checkpointing=True)
    assert float(best.best_model_score) == pytest.approx(
        max(report["reward"] for report in callback.reports)
    )


def test_what_is_kept(tmp_path):
    fit(rollouts(tmp_path / "none", keep=()))
    assert not (tmp_path / "none/steps").exists()
    fit(rollouts(tmp_path / "all", keep=("midi", "audio"), preview_every=2))
    names = sorted(path.name for path in (tmp_path / "all/steps/00003").iterdir())
    assert [name for name in names if name.endswith(".mid")] == [
        f"0{group}-{number}.mid" for group in range(GROUPS) for number in range(SIZE)
    ]
    assert len(names) == 2 * GROUPS * SIZE
    previews = {
        path.name: sorted(one.name.split("_")[0] for one in path.iterdir())
        for path in (tmp_path / "all/previews").iterdir()
    }
    assert previews == {
        "00001": ["best"] * 2 + ["middle"] * 2 + ["worst"] * 2,
        "00002": ["best"] * 2 + ["middle"] * 2 + ["worst"] * 2,
    }
    assert RolloutFiles(tmp_path / "all").steps() == []


def test_rendering_begins_while_pieces_are_sampled(tmp_path):
    events: list[str] = []

    class Renderer:
        rendering = SimpleNamespace(sample_rate=8000)

        def begin(self, piece: Any) -> None:
            events.append("begin")

        def forget(self) -> None:
            events.append("forget")

    class Heard(letters_reward()):  # type: ignore[misc]
        name = "heard"

        def __init__(self) -> None:
            self.renderer = Renderer()

        def score(self, pieces: Sequence[Generated]) -> Any:
            events.append("score")
            return super().score(pieces)

    class Slow(Speaker):
        def _pieces(self, sampled: Any) -> Any:
            for one in super()._pieces(sampled):
                yield one
                events.append("sampled")

    fit(rollouts(tmp_path, steps=1, reward=Mixture({Heard(): 1.0})), model(Slow))
    assert events[:4] == ["begin", "sampled", "begin", "sampled"]
    assert events.count("forget") == 1
    assert events.index("score") > 11


def letters_reward() -> type:
    from musiczoo.rewards import Reward, Scores

    class Letters(Reward):
        name = "letters"

        def score(self, pieces: Sequence[Generated]) -> Scores:
            return Scores(torch.tensor(letters(pieces), dtype=torch.float64), (None,) * len(pieces))

    return Letters


# ------------------------------------------------------------------------------------------------- bad things


def test_completions_without_a_reward(tmp_path, caplog):
    def picky(pieces: Sequence[Generated]) -> list[float]:
        if len(pieces) > 1:
            raise ValueError("one at a time")
        if len(pieces[0].text) % 3 == 0:
            raise ValueError(f"three: {len(pieces[0].text)}")
        return letters(pieces)

    callback = rollouts(tmp_path, reward=picky, steps=4)
    with caplog.at_level(logging.WARNING):
        module = fit(callback)
    failed = sum(report["failed"].get("picky raised ValueError", 0) for report in callback.reports)
    rows = [row for step in range(1, 5) for row in RolloutFiles(tmp_path).step(step)]
    without = [row for row in rows if math.isnan(row["reward"])]
    assert 0 < len(without) == failed < len(rows)
    assert {row["advantage"] for row in without} == {0.0}
    assert all(row["reason"].startswith("picky raised ValueError: three") for row in without)
    assert (
        sum(
            "have no reward: picky raised ValueError" in record.message for record in caplog.records
        )
        == 1
    )
    assert differing(module, model())


def test_a_reward_that_hangs(tmp_path):
    def hangs(pieces: Sequence[Generated]) -> list[float]:
        if len(done) == 1:
            done.append(1)
            time.sleep(1.5)
        done.append(1)
        return letters(pieces)

    done: list[int] = []
    callback = rollouts(tmp_path, reward=hangs, steps=2, reward_timeout=0.3)
    fit(callback)
    assert [report["scored"] for report in callback.reports] == [6, 0]
    assert callback.reports[1]["failed"] == {"hangs gave no score within 0.3 s": 6}


def test_steps_without_any_reward(tmp_path):
    def nothing(pieces: Sequence[Generated]) -> list[float]:
        return [math.nan] * len(pieces)

    module = model(optimizer=sgd)
    fit(
        rollouts(tmp_path / "nine", reward=nothing, steps=9, groups=1, group_size=2, beta=1.0),
        module,
    )
    assert not differing(module, model())
    with pytest.raises(MusicZooError, match=r"No completion of 10 steps.*2: nothing gave nan"):
        fit(rollouts(tmp_path / "ten", reward=nothing, steps=12, groups=1, group_size=2))
    saver = keep_everywhere(tmp_path / "saved", tmp_path / "half")
    fit(
        rollouts(tmp_path / "half", reward=nothing, steps=12, groups=1, group_size=2),
        callbacks=[saver, Stop(5)],
    )
    with pytest.raises(MusicZooError, match="No completion of 10 steps"):
        fit(
            rollouts(tmp_path / "half", reward=nothing, steps=12, groups=1, group_size=2),
            checkpoint=saver.saved["batch4"][0],
        )


class Stop(lightning.Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.steps


def test_pieces_that_cannot_be_read(tmp_path):
    callback = rollouts(tmp_path, steps=1)
    fit(callback, model(lambda one: Speaker(one, readable=False)))
    assert callback.reports[0]["failed"] == {"the piece cannot be read": 6}


def test_wrong_numbers(tmp_path):
    module = model()
    with pytest.raises(MusicZooError, match="gave 2 scores for 6 pieces"):
        fit(rollouts(tmp_path / "a", reward=lambda pieces: [1.0, 2.0]), module)
    assert isinstance(module.objective, Likelihood)

    class Short:
        name = "short"

        def draw(self, count: int, rng: Any) -> list[str]:
            return [""]

    with pytest.raises(MusicZooError, match="short gave 1 prompts instead of 2"):
        fit(rollouts(tmp_path / "b", prompts=Short()), module)
    with pytest.raises(MusicZooError, match="The prompt has 8 patches"):
        fit(rollouts(tmp_path / "c", prompts=["%a\n" * 7]), module)
    # The Trainer and the module are as they were.
    assert isinstance(module.objective, Likelihood)


def test_pieces_longer_than_the_context(tmp_path):
    callback = rollouts(
        tmp_path, steps=1, max_length=14, prompts=["%a\n", "X:1\nL:1/8\nM:4/4\nK:C\n[V:1]CDEF|\n"]
    )
    fit(callback)
    assert callback.reports[0]["completions"] == 6


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"group_size": 1}, "compared with the others"),
        ({"steps": 0}, "one step"),
        ({"batch_size": 0}, "one step"),
        ({"keep": ("scores", "video")}, "no video to keep.*midi"),
        ({"prompts": []}, "no prompts"),
        ({"prompts": "one"}, "no list"),
        ({"reward_timeout": 0.0}, "needs time"),
        ({"sampling": Sampling(top_k=0, top_p=1.0, temperature=0.0)}, "same"),
        ({"objective": GRPO(temperature=0.7)}, "temperature 1.0 and trained on at 0.7"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, settings, complaint):
    with pytest.raises(MusicZooError, match=complaint):
        rollouts(tmp_path, **settings)


def test_cuts_are_warned_of(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        rollouts(tmp_path, sampling=Sampling(top_k=9, top_p=1.0, temperature=1.0))
    assert "sampled with cuts" in caplog.text


def test_what_is_refused_when_the_fit_begins(tmp_path):
    trainer: Any = lightning.Trainer(**QUIET)
    with pytest.raises(MusicZooError, match="M3Module writes no pieces"):
        rollouts(tmp_path).setup(
            trainer, M3Module(layers=1, decoder_layers=1, hidden=16, heads=2), "fit"
        )
    for wrong, complaint in (
        ({"accumulate_grad_batches": 2}, "accumulated to one optimiser step"),
        ({"max_epochs": 3}, "length of the training is 3"),
        ({"max_steps": 7}, "length of the training is 3"),
        ({"limit_train_batches": 4}, "batches of their own"),
        ({"reload_dataloaders_every_n_epochs": 1}, "batches of their own"),
    ):
        with pytest.raises(MusicZooError, match=complaint):
            fit(rollouts(tmp_path), **wrong)
    frozen = model().requires_grad_(False)
    with pytest.raises(MusicZooError, match="No parameter is trainable"):
        fit(rollouts(tmp_path), frozen)
    with pytest.raises(MusicZooError, match="give max_length in its units"):
        fit(rollouts(tmp_path, max_length=None))
    for strategy in (ModelParallelStrategy(), FSDPStrategy.__new__(FSDPStrategy)):
        trainer = SimpleNamespace(strategy=strategy)
        with pytest.raises(MusicZooError, match="whole weights on each device"):
            rollouts(tmp_path).setup(trainer, model(), "fit")  # type: ignore[arg-type]
    # The length that it has anyway is no other length.
    fit(rollouts(tmp_path, steps=1), max_steps=1)


def test_a_fit_without_data_or_callback_says_so():
    with pytest.raises(MusicZooError, match=r"nothing to train on.*GroupRollouts"):
        lightning.Trainer(max_epochs=1, **QUIET).fit(model())


def test_a_checkpoint_of_another_training(tmp_path):
    module, source = model(), data()
    trainer = lightning.Trainer(max_epochs=1, **QUIET)
    trainer.fit(module, source)
    trainer.save_checkpoint(tmp_path / "other.ckpt")
    with pytest.raises(MusicZooError, match="a fit without GroupRollouts"):
        fit(rollouts(tmp_path / "run", steps=8), checkpoint=tmp_path / "other.ckpt")


def test_one_object_for_two_fits(tmp_path):
    callback = rollouts(tmp_path)
    first = fit(callback)
    second = fit(callback)
    assert not differing(first, second)
    assert [report["step"] for report in callback.reports] == [1, 2, 3]


# ------------------------------------------------------------------------------------------------- several processes


class KeepRanks(lightning.Callback):
    """The weights of each process at the end, and what it sampled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        torch.save(module.state_dict(), self.folder / f"rank{trainer.global_rank}.pt")
        sampled = [len(call) for call in module.stream.calls]
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(sampled))


def run(folder: Path, processes: int, **settings: Any) -> GroupRollouts:
    folder.mkdir()
    strategy = {} if processes == 1 else {"devices": processes, "strategy": "ddp_fork"}
    callback = rollouts(
        folder / "run",
        **({"groups": 3, "iterations": 2, "beta": 0.2, "keep": ("scores", "midi")} | settings),
    )
    fit(callback, model(dropout=0.0, optimizer=sgd), callbacks=[KeepRanks(folder)], **strategy)
    return callback


@pytest.mark.dist
@pytest.mark.parametrize("batch_size", [1, 4])
def test_two_processes_equal_one(tmp_path, batch_size):
    one, two = tmp_path / "one", tmp_path / "two"
    run(one, 1, batch_size=4)
    # With batches of 4 the last one has work for one process alone.
    run(two, 2, batch_size=batch_size)
    assert [json.loads((two / f"rank{rank}.json").read_text()) for rank in (0, 1)] == [
        [3] * 3,
        [6] * 3,
    ]
    for step in (1, 2, 3):
        theirs, alone = (RolloutFiles(folder / "run").step(step) for folder in (two, one))
        assert [(row["text"], row["reward"], row["prompt"]) for row in theirs] == [
            (row["text"], row["reward"], row["prompt"]) for row in alone
        ]
        assert [row["kl"] for row in theirs] == pytest.approx(
            [row["kl"] for row in alone], abs=1e-5
        )
    ranks = [torch.load(two / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    weights = torch.load(one / "rank0.pt", weights_only=True)
    before, moved = model().state_dict(), 0.0
    for name, value in weights.items():
        assert torch.equal(ranks[0][name], ranks[1][name])
        torch.testing.assert_close(ranks[0][name], value, rtol=1e-5, atol=1e-5)
        moved = max(moved, float((value - before[name]).abs().max()))
    assert moved > 1e-3
    assert sorted(path.name for path in (two / "run/steps/00001").iterdir()) == sorted(
        path.name for path in (one / "run/steps/00001").iterdir()
    )


@pytest.mark.dist
def test_an_error_of_one_process_ends_all(tmp_path):
    def broken(pieces: Sequence[Generated]) -> list[float]:
        # Of the two processes the second has more pieces.
        return letters(pieces)[: 3 if len(pieces) > 3 else None]

    with pytest.raises(Exception, match="gave 3 scores for 6 pieces"):
        run(tmp_path / "two", 2, reward=broken, iterations=1)
