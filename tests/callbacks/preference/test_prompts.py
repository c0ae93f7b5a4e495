"""Rounds on prompts of any kind: texts, token ids, drawn ones; without a data module; own rules."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from jsonargparse import ArgumentParser

from musiczoo.callbacks.preference.callback import PreferenceRounds
from musiczoo.callbacks.preference.files import RoundFiles
from musiczoo.callbacks.preference.settings import RoundSettings
from musiczoo.callbacks.rollouts.callback import GroupRollouts
from musiczoo.callbacks.rollouts.settings import RolloutSettings
from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards.admission import AdmissionRule
from tests.callbacks.tiny_rounds import (
    JIG,
    SAMPLES,
    STEPS,
    Writer,
    data,
    fit,
    model,
    rounds,
    tune,
    written,
)
from tests.small_runs import QUIET

pytestmark = pytest.mark.filterwarnings("ignore")


class AnyPrompt(Writer):
    """Takes any prompt; as modules do, it says nothing of a prompt that is no labels."""

    def piece(self, labels: Any, rng: random.Random) -> Generated:
        return replace(written(self.module, JIG, tune(rng.randrange(2**32))), prompt=None)


def alone(callback: PreferenceRounds, **settings: Any) -> Any:
    """A fit without a data module."""
    module = model(AnyPrompt, prompts=())
    trainer = lightning.Trainer(**(QUIET | {"callbacks": [callback]} | settings))
    trainer.fit(module)
    return module, trainer


def ids(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)


@pytest.mark.parametrize(
    ("prompts", "names"),
    [
        (["M:6/8\n", "M:4/4\n"], ["M:6/8\n", "M:4/4\n"]),
        ([ids(1, 2), ids(3), ids(1, 2)], ["1 2", "3"]),
        ([("a", 1), ("b", 2)], ["('a', 1)", "('b', 2)"]),
    ],
)
def test_rounds_without_data_on_prompts_of_any_kind(tmp_path, prompts, names):
    seen: set[str] = set()

    def reward(pieces: Sequence[Generated]) -> list[float]:
        seen.update(str(piece.prompt) for piece in pieces)
        return [float(len(piece.text)) for piece in pieces]

    callback = rounds(tmp_path, prompts=prompts, reward=reward)
    module, trainer = alone(callback)
    assert trainer.global_step == 2 * STEPS
    assert [*callback.reports[1]["by_prompt"]] == names
    assert seen == {str(prompt) for prompt in prompts}
    samples = RoundFiles(tmp_path / "round-001").samples()
    assert len(samples) == 2 * SAMPLES
    pieces, pairs = RoundFiles(tmp_path / "round-001").training()
    for one, other in pairs:
        # Both sides are of one prompt, whose pieces stand next to each other.
        assert pieces[one].number // SAMPLES == pieces[other].number // SAMPLES
    assert {samples[pieces[one].number].role for one, _ in pairs} == {"chosen"}
    # The same run again takes everything from the disk.
    again, _ = alone(rounds(tmp_path, prompts=prompts, reward=reward))
    assert again.generate.calls == []
    # The fit has given everything back.
    assert "train_dataloader" not in vars(module)
    with pytest.raises(MusicZooError, match="nothing to train on"):
        lightning.Trainer(max_epochs=1, **QUIET).fit(module)


def test_what_files_hold_of_prompts(tmp_path):
    alone(rounds(tmp_path, rounds=1, prompts=["M:6/8\n", ids(1, 2)]))
    plan = json.loads((tmp_path / "round-001/plan.json").read_text())
    assert plan["prompts"] == ["M:6/8\n", {"tokens": [1, 2], "shape": [2], "dtype": "int64"}]
    samples = RoundFiles(tmp_path / "round-001").samples()
    assert samples[0].result.prompt == "M:6/8\n"
    assert torch.equal(samples[-1].result.prompt, ids(1, 2))


class Drawn:
    """A source that has no list."""

    name = "drawn"

    def draw(self, count: int, rng: random.Random) -> list[str]:
        return [f"%{rng.randrange(10**6)}\n" for _ in range(count)]


def test_prompts_drawn_for_each_round(tmp_path):
    callback = rounds(tmp_path / "a", prompts=Drawn(), prompt_count=3)
    alone(callback)
    prompts = [list(callback.reports[number]["by_prompt"]) for number in (1, 2)]
    assert len({*prompts[0], *prompts[1]}) == 6
    again = rounds(tmp_path / "b", prompts=Drawn(), prompt_count=3)
    alone(again)
    assert [list(again.reports[number]["by_prompt"]) for number in (1, 2)] == prompts
    with pytest.raises(MusicZooError, match=r"drawn has no list of its prompts.*prompt_count="):
        alone(rounds(tmp_path / "c", prompts=Drawn()))
    with pytest.raises(MusicZooError, match="at least one prompt"):
        rounds(tmp_path / "d", prompts=Drawn(), prompt_count=0)


def test_a_list_may_be_drawn_from_too(tmp_path):
    callback = rounds(tmp_path, rounds=1, prompts=["a", "b", "c"], prompt_count=2)
    alone(callback)
    assert len({*callback.reports[1]["by_prompt"]} & {"a", "b", "c"}) == 2


class Short(AdmissionRule):
    def refusal(self, piece: Generated, details: Mapping[str, float]) -> str | None:
        return f"too long: {len(piece.text)}" if len(piece.text) > 130 else None

    def record(self) -> dict[str, Any]:
        return {"longest": 130}


def test_rules_of_the_user(tmp_path):
    callback = rounds(tmp_path, rounds=1, samples=12, rules=[Short()], plagiarism=None)
    fit(callback)
    report = callback.reports[1]
    assert report["longest"] == 130
    assert report["left_out"]["too long"] > 0
    samples = RoundFiles(tmp_path / "round-001").samples()
    chosen = [sample for sample in samples if sample.role == "chosen"]
    assert chosen
    assert max(len(sample.result.text) for sample in chosen) <= 130
    plan = json.loads((tmp_path / "round-001/plan.json").read_text())
    assert "Short" in plan["rules"][0]


def test_a_fit_gets_its_length_and_loaders_back(tmp_path):
    callback, source = rounds(tmp_path, rounds=1), data()
    trainer = lightning.Trainer(callbacks=[callback], **QUIET)
    trainer.fit(model(), source)
    # 1000 is what Lightning fills in.
    assert (trainer.max_epochs, trainer.max_steps) == (1000, -1)
    assert trainer.reload_dataloaders_every_n_epochs == 0  # type: ignore[attr-defined]


def test_unknown_options_are_refused_before_anything_is_sampled(tmp_path):
    with pytest.raises(MusicZooError, match="no option colour"):
        fit(rounds(tmp_path, generation={"batch_size": 2, "colour": "red"}))
    with pytest.raises(TypeError, match="colour"):
        rounds(tmp_path, colour="red")
    assert not any(Path(tmp_path).iterdir())


@pytest.mark.parametrize("kind", [PreferenceRounds, GroupRollouts])
def test_settings_are_flat_on_the_command_line(kind):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "it", skip={"reward", "prompts"})
    names = {*vars(parser.get_defaults().it)}
    own = RoundSettings if kind is PreferenceRounds else RolloutSettings
    assert {field.name for field in fields(own)} <= names
    assert parser.parse_args(["--it.seed=5", "--it.max_length=64"]).it.seed == 5
