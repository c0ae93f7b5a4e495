"""The whole contract of an architecture, on one that lives in tests/toy and joins by one row of the registry."""

from __future__ import annotations

import copy
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import yaml

import musiczoo
from musiczoo.callbacks import GroupRollouts, PreferenceRounds
from musiczoo.cli import main
from musiczoo.commands.fit import fit as fit_by_words
from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.hub import Entry, register, registry
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.hub.opening import open_model
from musiczoo.models.base import Distributes, Generated, GenerativeModule
from musiczoo.models.objectives import DPO, DPOP, GRPO, Likelihood
from musiczoo.models.sampling import Sampling
from musiczoo.music.abc import Tune, read_abc, write_abc
from musiczoo.music.errors import MusicZooError
from tests.imitation_hub import ImitationHub
from tests.small_runs import QUIET, differing
from tests.toy import ROW
from tests.toy.melody import LETTERS
from tests.toy.module import ToyModule

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toy, registered by its row, and forgotten afterwards."""
    tables = (registry.ARCHITECTURES, registry.REPRESENTATIONS, registry._registered)
    registry.architectures()
    before = [dict(table) for table in tables]
    register(ROW)
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=3e-3)


def model(**settings: Any) -> ToyModule:
    return ToyModule(**{"optimizer": adamw, "seed": 5, "hidden": 24, **settings})


def tune(seed: int) -> Tune:
    rng = random.Random(seed)
    bars = "|".join("".join(rng.choices("CDEFGABcd", k=4)) for _ in range(rng.randrange(2, 7)))
    return read_abc(f"X:{seed}\nM:4/4\nL:1/4\nK:C\n{bars}|]\n")


def data(module: GenerativeModule, **settings: Any) -> ScoreDataModule:
    return ScoreDataModule(
        [tune(seed) for seed in range(17)],
        representation=module.representation,
        **{"batch_size": 4, "val_fraction": 0.2, "progress": False, **settings},
    )


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def letters(pieces: Sequence[Generated]) -> list[float]:
    """The reward of a user: the higher the letters, the better."""
    return [sum(LETTERS.find(x) for x in piece.text) / (1 + len(piece.text)) for piece in pieces]


# ---------------------------------------------------------------------------------- Trainer.fit


class SaveAt(lightning.Callback):
    """A checkpoint after a batch."""

    def __init__(self, path: Path, batch: int) -> None:
        self.path, self.batch = path, batch

    def on_train_batch_end(self, trainer: lightning.Trainer, *others: Any) -> None:
        if trainer.global_step == self.batch:
            trainer.save_checkpoint(self.path)


def test_a_fit_that_is_resumed_equals_one_that_was_not(tmp_path: Path) -> None:
    path = tmp_path / "middle.ckpt"
    settings = {"dropout": 0.1, "warmup_steps": 2}
    whole, resumed = model(**settings), model(**settings)
    before = copy.deepcopy(whole)
    trainer = lightning.Trainer(**QUIET, max_epochs=2, callbacks=[SaveAt(path, 2)])
    trainer.fit(whole, data(whole))
    assert differing(whole, before)
    assert {"val/loss", "val/bits_per_token"} <= set(trainer.callback_metrics)
    lightning.Trainer(**QUIET, max_epochs=2).fit(resumed, data(resumed), ckpt_path=path)
    assert not differing(whole, resumed)
    opened = open_model(str(path))
    assert type(opened) is ToyModule
    assert opened.config.hidden == 24
    assert whole.record()["provenance"]["training"][0]["steps"] == trainer.global_step


def test_an_adapter_is_trained_alone(tmp_path: Path) -> None:
    save_checkpoint(model(), tmp_path / "base")
    tuned = ToyModule(
        pretrained=f"local-dir:{tmp_path}/base", lora={"rank": 2}, optimizer=adamw, seed=1
    )
    before = copy.deepcopy(tuned)
    lightning.Trainer(**QUIET, max_steps=3).fit(tuned, data(tuned))
    changed = differing(tuned, before)
    assert changed
    assert all("lora_" in name for name in changed)
    save_checkpoint(tuned, tmp_path / "adapter")
    again = musiczoo.load(f"local-dir:{tmp_path}/adapter")
    assert not differing(again.net, tuned.net)


# ---------------------------------------------------------------------------------- generate


def test_pieces_are_seeded_and_do_not_depend_on_their_batch() -> None:
    module = model().train()
    prompts = ["CDE", "", "G|", "cc"]
    together = module.generate(prompts, generator=generator(), max_length=20)
    assert module.training
    again = module.generate(prompts, generator=generator(), max_length=20, batch_size=1)
    other = module.generate(prompts, generator=generator(1), max_length=20)
    for one, two in zip(together, again, strict=True):
        assert torch.equal(one.tokens, two.tokens)
        assert torch.equal(one.log_probs, two.log_probs)
    assert [one.text for one in together] != [one.text for one in other]
    for prompt, one in zip(prompts, together, strict=True):
        assert one.text.startswith(prompt)
        assert one.stop in ("end", "max_length")
        assert len(one.tokens) <= 20
        assert isinstance(one.piece, Tune) or one.error
    # What was sampled has the log-probabilities that training gives it.
    plain = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)
    drawn = module.generate(prompts, plain, 20, generator())
    items = [module.rollout_item(one) for one in drawn]
    batch = module.representation.collate([tokens for tokens, _ in items])
    values = module.eval().log_probs(batch).values.detach()
    for row, (one, (tokens, scored)) in enumerate(zip(drawn, items, strict=True)):
        torch.testing.assert_close(
            values[row, : len(tokens) - 1][scored], one.log_probs[one.scored], rtol=1e-5, atol=1e-6
        )


def test_a_piece_is_watched_cancelled_and_streamed() -> None:
    module = model()
    seen: list[tuple[int, str]] = []

    def watch(number: int, text: str) -> bool:
        seen.append((number, text))
        return number != 1 or len(text) < 5

    results = module.generate(
        ["C", "D", "E"], generator=generator(2), max_length=24, on_progress=watch
    )
    assert results[1].stop == "cancelled"
    assert {number for number, _ in seen} == {0, 1, 2}
    assert all(result.stop != "cancelled" for result in (results[0], results[2]))
    streamed = list(module.stream(["C", "D", "E"], generator=generator(2), max_length=24))
    assert sorted(number for number, _ in streamed) == [0, 1, 2]
    assert torch.equal(dict(streamed)[0].tokens, results[0].tokens)
    lengths = [len(result.tokens) for _, result in streamed]
    assert lengths == sorted(lengths)


def test_options_are_its_own() -> None:
    module = model()
    [one] = module.generate([""], generator=generator(), max_length=9, first="G")
    assert one.text.startswith("G")
    with pytest.raises(MusicZooError, match="It has first"):
        module.generate([""], second="G")


def test_probabilities_sum_to_one() -> None:
    module = model()
    assert isinstance(module, Distributes)
    batch = module.reference_batch()
    for temperature in (1.0, 0.7):
        scored = module.log_probs(batch, temperature)
        whole = module.log_distribution(batch, temperature)
        assert scored.values.shape == scored.mask.shape == whole.shape[:2]
        torch.testing.assert_close(
            whole.exp().sum(2)[scored.mask], torch.ones(int(scored.mask.sum()))
        )
        picked = whole.gather(2, batch["ids"][:, 1:].unsqueeze(2)).squeeze(2)
        torch.testing.assert_close(picked[scored.mask], scored.values[scored.mask])
        assert not scored.values[~scored.mask].any()
    assert scored.values.requires_grad


# ---------------------------------------------------------------------------------- objectives


OBJECTIVES = [Likelihood(), DPO(), DPOP(), GRPO(beta=0.04)]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: type(one).__name__)
def test_every_objective_trains_it(objective: Any) -> None:
    module = model(objective=objective)
    encoded = [module.representation.encode(tune(seed)) for seed in range(6)]
    batch: dict[str, Any] = module.representation.collate(encoded)
    other = model(seed=6)
    with torch.no_grad():
        old, reference = other.log_probs(batch), model(seed=7).log_probs(batch)
    if isinstance(objective, DPO | DPOP):
        batch["reference"] = reference.sums()
    if isinstance(objective, GRPO):
        batch |= {
            "advantages": torch.tensor([1.0, -1.0, 2.0, -2.0, 1.0, -1.0]),
            "old_log_probs": old.values,
            "ref_log_probs": reference.values,
            "completion": old.mask & (old.mask.cumsum(1) > 2),
        }

    def loss() -> float:
        with torch.no_grad():
            result = objective(module, batch)
        return float(result.total / result.count)

    before = loss()
    loader = torch.utils.data.DataLoader([batch] * 15, batch_size=None)
    lightning.Trainer(**QUIET, max_epochs=1).fit(module, loader)
    assert loss() < before - 1e-3 * abs(before)


# ---------------------------------------------------------------------------------- the hub


@pytest.mark.parametrize("way", ["folder", "hub"])
def test_what_is_saved_comes_back(way: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    module = model(dropout=0.1).eval()
    module.representation = type(module.representation)(max_length=40)
    module.sampling = Sampling(top_k=5)
    module.stage, module.provenance = "finetune", {"training": [{"steps": 7}]}
    if way == "folder":
        save_checkpoint(module, tmp_path / "saved")
        again: Any = musiczoo.load(f"local-dir:{tmp_path}/saved", dropout=0.3)
        assert again.config.dropout == 0.3
    else:
        hub: ImitationHub = request.getfixturevalue("imitation_hub")
        assert hub.url
        musiczoo.publish(module, "me/toy", licence="mit")
        again = musiczoo.load("hf-hub:me/toy")
    assert type(again) is ToyModule
    assert not again.training
    assert not differing(again.net, module.net)
    assert again.representation.to_config() == {"max_length": 40}
    assert again.record() == module.record()
    assert again.sampling.top_k == 5


def test_a_file_of_its_publisher_is_opened_by_name(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    entry = {"parameters": None, "licence": "mit", "origin": "here", "architecture": "toy"}
    register(Entry(name="toy-published", summary="letters", **entry))
    save_file(model().net.state_dict(), tmp_path / "toy.safetensors")
    again: Any = musiczoo.load("toy-published", weights=tmp_path / "toy.safetensors")
    assert (type(again), again.config.hidden) == (ToyModule, 24)
    started = ToyModule(pretrained=str(tmp_path / "toy.safetensors"))
    assert not differing(again.net, started.net)


# ---------------------------------------------------------------------------------- callbacks


def test_preference_rounds_with_the_reward_of_a_user(tmp_path: Path) -> None:
    module = model()
    before = copy.deepcopy(module)
    rounds = PreferenceRounds(
        2,
        3,
        reward=letters,
        prompts=["C", "G", "d"],
        samples=6,
        fraction=0.34,
        plagiarism=None,
        max_length=16,
        generation={"batch_size": 4},
        batch_size=2,
        folder=tmp_path / "rounds",
        progress=False,
    )
    lightning.Trainer(**QUIET, callbacks=[rounds]).fit(module)
    assert differing(module, before)
    assert sorted(rounds.reports) == [1, 2]
    assert all(report["pieces"] == 18 for report in rounds.reports.values())
    kept = musiczoo.load(f"local-dir:{tmp_path}/rounds/round-002/policy")
    assert not differing(kept.net, module.net)


def test_rollouts_with_the_reward_of_a_user(tmp_path: Path) -> None:
    module = model()
    rollouts = GroupRollouts(
        12,
        prompts=["C", "G"],
        reward=letters,
        beta=0.01,
        groups=2,
        group_size=8,
        max_new_tokens=None,
        max_length=16,
        folder=tmp_path / "rollouts",
        progress=False,
    )
    lightning.Trainer(**QUIET, callbacks=[rollouts]).fit(module)
    rewards = [report["reward"] for report in rollouts.reports]
    assert len(rewards) == 12
    assert sum(rewards[-4:]) > sum(rewards[:4])


# ---------------------------------------------------------------------------------- the command line


@pytest.fixture
def named(tmp_path: Path) -> str:
    """A named checkpoint of the toy."""
    save_checkpoint(model(), tmp_path / "named")
    row = {"summary": "letters", "parameters": 3_000, "licence": "mit", "origin": "here"}
    register(Entry(name="toy-small", architecture="toy", folder=tmp_path / "named", **row))
    return "toy-small"


def test_it_is_listed(named: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["list"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(named)]
    assert len(lines) == 1
    main(["list", named, "--json"])
    assert json.loads(capsys.readouterr().out)["writes"] == "notation"


def test_it_generates_by_the_command_line(
    named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompt").write_text("CEG")
    words = ["--prompt", str(tmp_path / "prompt"), "--count", "2", "--max-length", "20", "--quiet"]
    formats = ["--formats", "abc,musicxml,mid", "--json", "--output", str(tmp_path / "out")]
    main(["generate", named, *words, *formats])
    pieces = json.loads(capsys.readouterr().out)["pieces"]
    assert len(pieces) == 2
    for number in (1, 2):
        for suffix in ("abc", "musicxml", "mid"):
            assert (tmp_path / f"out/piece-{number}.{suffix}").is_file()
    assert "CEG" in (tmp_path / "out/piece-1.abc").read_text()


def test_it_is_fitted_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    for seed in range(8):
        (tmp_path / f"scores/{seed}.abc").write_text(write_abc(tune(seed)))
    content = {
        "data": {
            "class_path": "ScoreDataModule",
            "init_args": {
                "corpus": str(tmp_path / "scores"),
                "cache": str(tmp_path / "cache"),
                "batch_size": 2,
                "progress": False,
            },
        },
        "trainer": {
            **QUIET,
            "enable_checkpointing": True,
            "max_steps": 2,
            "default_root_dir": str(tmp_path),
        },
    }
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(content))
    words = ["--config", str(tmp_path / "data.yaml"), "--model", "ToyModule", "--model.hidden", "8"]
    cli = fit_by_words(words)
    assert (cli.trainer.global_step, cli.model.config.hidden) == (2, 8)
    checkpoint = next(tmp_path.rglob("*.ckpt"))
    assert type(open_model(str(checkpoint))) is ToyModule
    cli = fit_by_words([*words, "--trainer.max_steps=4", f"--ckpt_path={checkpoint}"])
    assert cli.trainer.global_step == 4
    out = tmp_path / "out"
    main(["generate", str(checkpoint), "--max-length", "20", "--quiet", "--output", str(out)])
    assert list(out.iterdir())


# ---------------------------------------------------------------------------------- another package


def test_it_joins_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package of somebody else names its rows in its metadata; nobody calls register."""
    save_checkpoint(model(), tmp_path / "saved")
    for table in (registry.ARCHITECTURES, registry.REPRESENTATIONS):
        table.pop("toy", None)
        table.pop("toy_melody", None)
    site = tmp_path / "site"
    folder = site / "somebody-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[musiczoo.architectures]\ntoy = somebody:ROW\nbroken = somebody:NOTHING\n"
    )
    (site / "somebody.py").write_text("from tests.toy import ROW\n")
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(MusicZooError, match="does not know 'toy'"):
        musiczoo.load(f"local-dir:{tmp_path}/saved")
    monkeypatch.setattr(registry, "_unread_groups", ["musiczoo.architectures"])
    try:
        again: Any = musiczoo.load(f"local-dir:{tmp_path}/saved")
    finally:
        sys.modules.pop("somebody", None)
    assert type(again) is ToyModule
    assert again.generate(["C"], generator=generator(), max_length=8)[0].text.startswith("C")
