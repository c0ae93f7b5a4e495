"""Preference rounds inside one fit: what each round makes and trains on, what is refused, and several processes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import ModelParallelStrategy

from musiczoo.callbacks.preference.callback import PreferenceRounds
from musiczoo.callbacks.preference.files import RoundFiles
from musiczoo.hub.checkpoint import open_checkpoint
from musiczoo.models.bar_stream.module import BarStreamModule
from musiczoo.models.m3 import M3Module
from musiczoo.models.objectives import DPO, DPOP, Likelihood
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.rewards import CorpusSimilarity
from tests.callbacks.tiny_rounds import (
    CHUNKS,
    JIG,
    PROMPTS,
    REEL,
    SAMPLES,
    STEPS,
    Writer,
    data,
    fit,
    keep_everywhere,
    model,
    notes,
    rounds,
    sgd,
    works,
)
from tests.small_runs import QUIET, differing

pytestmark = pytest.mark.filterwarnings("ignore")


class Watch(lightning.Callback):
    """What each round begins with."""

    def __init__(self) -> None:
        self.optimizers: list[torch.optim.Optimizer] = []
        self.fresh: list[bool] = []
        self.rates: list[float] = []
        self.objectives: set[str] = set()
        self.steps = 0

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        self.optimizers.append(trainer.optimizers[0])
        self.fresh.append(not trainer.optimizers[0].state)
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.objectives.add(type(module.objective).__name__)
        self.steps = trainer.global_step
        assert module.training
        assert module.net.training


def sums(module: BarStreamModule, pieces: Sequence[torch.Tensor]) -> torch.Tensor:
    """Each piece alone, in eval mode."""
    module.eval()
    with torch.no_grad():
        return torch.cat(
            [module.log_probs(module.representation.collate([piece])).sums() for piece in pieces]
        ).double()


def test_two_rounds(tmp_path):
    source, watch, callback = data(val_fraction=0.3), Watch(), rounds(tmp_path / "rounds")
    methods = dict(vars(source))
    module = fit(
        callback, source=source, callbacks=[watch], logger=CSVLogger(tmp_path), log_every_n_steps=1
    )

    files = {
        str(path.relative_to(tmp_path / "rounds"))
        for path in (tmp_path / "rounds").rglob("*.*")
        if "policy" not in path.parts
    }
    kept = ["plan.json", "samples.parquet", "sequences.parquet", "pairs.parquet", "report.json"]
    chunks = [f"samples/{index:05d}.parquet" for index in range(CHUNKS)]
    assert files == {f"round-{number:03d}/{name}" for number in (1, 2) for name in [*kept, *chunks]}

    # Every step trains on pairs of its round, with an optimiser of the round's own that warms up
    # again.
    assert watch.steps == 2 * STEPS
    assert watch.optimizers[0] is not watch.optimizers[1]
    assert watch.fresh == [True, True]
    assert watch.rates == [5e-4, 5e-4]
    assert watch.objectives == {"DPOP"}
    assert [len(call) for call in module.generate.calls] == [4] * 2 * CHUNKS
    asked = [labels for call in module.generate.calls[:CHUNKS] for labels in call]
    assert [len(set(asked[:SAMPLES])), len(set(asked[SAMPLES:])), set(asked)] == [
        1,
        1,
        set(PROMPTS),
    ]

    # The references of a round are those of the policy as the round began, and of no other.
    policies = [
        model(),
        open_checkpoint(tmp_path / "rounds/round-001/policy"),
        open_checkpoint(tmp_path / "rounds/round-002/policy"),
    ]
    for number in (1, 2):
        pieces, pairs = RoundFiles(tmp_path / f"rounds/round-{number:03d}").training()
        references = torch.tensor([piece.reference for piece in pieces], dtype=torch.float64)
        tokens = [piece.tokens for piece in pieces]
        torch.testing.assert_close(
            references, sums(policies[number - 1], tokens), rtol=1e-5, atol=1e-3
        )
        assert float((references - sums(policies[number], tokens)).abs().min()) > 1e-2
        assert len(pairs) == 2 * STEPS
    assert not differing(policies[2].net, module.net)
    assert (policies[2].stage, module.stage) == ("preference", "preference")

    # Afterwards everything is as it was.
    assert isinstance(module.objective, Likelihood)
    assert {name for name in vars(source) if name.endswith("dataloader")} == {
        name for name in methods if name.endswith("dataloader")
    }
    assert "reference" not in next(iter(source.train_dataloader()))
    assert callback.reports.keys() == {1, 2}
    assert callback.reports[2]["pieces"] == 2 * SAMPLES
    metrics = next(tmp_path.rglob("metrics.csv")).read_text()
    assert "preference/score" in metrics.splitlines()[0]


def test_last_policy_can_be_examined(tmp_path):
    callback = rounds(tmp_path, rounds=1, examine_last=True, keep_policies=False, objective=DPO())
    module = fit(callback)
    assert callback.reports.keys() == {1, 2}
    assert len(module.generate.calls) == 2 * CHUNKS
    assert callback.reports[2]["scored"] == 2 * SAMPLES
    assert callback.reports[2]["chosen"] == 0
    assert {path.name for path in (tmp_path / "round-002").iterdir()} == {
        "plan.json",
        "samples",
        "samples.parquet",
        "report.json",
    }
    assert not (tmp_path / "round-001/policy").exists()
    # The same object again, for another fit: everything is on disk, or nothing is.
    for folder, calls in ((tmp_path, 0), (tmp_path / "other", 2 * CHUNKS)):
        callback.folder = folder
        again = fit(callback)
        assert len(again.generate.calls) == calls
        assert not differing(module, again)
    # Scores of the policy that was trained, and not of the one before.
    assert (
        RoundFiles(tmp_path / "round-001").samples()[0].result.text
        != RoundFiles(tmp_path / "round-002").samples()[0].result.text
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "two samples a prompt and one of everything"),
        ({"samples": 1}, "two samples a prompt"),
        ({"plagiarism": "yes"}, "plagiarism='yes' has no meaning"),
        ({"plagiarism": 0.9}, "A function gives no similarity"),
        ({"fraction": 0.6}, "A fraction of 0.6"),
        ({"fraction": 0.0}, "A fraction of 0.0"),
    ],
)
def test_settings_without_meaning_are_refused_at_once(tmp_path, settings, message):
    with pytest.raises(MusicZooError, match=message):
        rounds(tmp_path, **settings)


def test_what_no_rounds_can_be_run_with(tmp_path):
    trainer = lightning.Trainer(callbacks=[rounds(tmp_path)], **QUIET)
    with pytest.raises(MusicZooError, match="from a data module"):
        trainer.fit(
            model(),
            [{"patches": torch.ones(1, 3, 16, dtype=torch.uint8), "lengths": torch.tensor([3])}],
        )
    with pytest.raises(MusicZooError, match="to run 5 epochs, and there are 2 rounds"):
        fit(rounds(tmp_path), max_epochs=5)
    with pytest.raises(MusicZooError, match="rounds times steps"):
        fit(rounds(tmp_path), max_steps=5)
    sharding: Any = SimpleNamespace(strategy=ModelParallelStrategy())
    with pytest.raises(MusicZooError, match="whole weights on each device"):
        rounds(tmp_path).setup(sharding, model(), "fit")
    with pytest.raises(MusicZooError, match="M3Module writes no pieces"):
        rounds(tmp_path).setup(
            sharding, M3Module(layers=1, decoder_layers=1, hidden=32, heads=2), "fit"
        )
    assert not any(tmp_path.iterdir())


def test_prompts_that_the_model_does_not_know(tmp_path, caplog):
    hornpipe = Labels("Traditional", "Here", "hornpipe")
    with pytest.raises(MusicZooError, match="not trained with the instrumentation 'hornpipe'"):
        fit(rounds(tmp_path / "named", prompts=[JIG, hornpipe]))
    # Also where the data module has such works.
    with pytest.raises(MusicZooError, match="not trained with the instrumentation 'reel'"):
        fit(rounds(tmp_path / "in-data", prompts=[JIG, REEL]), model(prompts=[JIG]))
    with caplog.at_level(logging.WARNING, "musiczoo"):
        module = fit(rounds(tmp_path / "left-out", rounds=1), model(prompts=[JIG]))
    assert "1 prompts of the data are left out" in caplog.text
    assert {labels for call in module.generate.calls for labels in call} == {JIG}
    with pytest.raises(
        MusicZooError,
        match="No prompt that the model knows has more than 1 training works; of others 2 have",
    ):
        fit(rounds(tmp_path / "none"), model(prompts=[hornpipe]))
    with pytest.raises(MusicZooError, match="more than 10 training works; of others 0 have"):
        fit(rounds(tmp_path / "few", min_works=10))


class Encoder:
    """Counts letters; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def features(self, texts: Sequence[str]) -> torch.Tensor:
        self.asked += len(texts)
        return torch.tensor(
            [[text.split("K:")[1].count(letter) + 0.1 for letter in "CDEFGAB"] for text in texts]
        )


def test_real_works_of_the_training_split_are_the_reward_s_references(tmp_path):
    encoder = Encoder()
    composer = Labels("Romantic", "Dvořák, Antonín", "Keyboard")
    source = data(prompts=False)
    source.corpus = [
        replace(work, labels=composer if work.labels == JIG else REEL) for work in works(12)
    ]
    reward = CorpusSimilarity(encoder)
    callback = rounds(tmp_path, rounds=1, reward=reward, plagiarism="calibrated")
    module = fit(callback, model(prompts=()), source=source)
    plain = Labels("Romantic", "Dvorak, Antonin", "Keyboard")
    assert {labels for call in module.generate.calls for labels in call} == {plain, REEL}
    assert reward.reference_features(plain).shape == (6, 7)
    assert encoder.asked == 12 + 2 * SAMPLES
    assert callback.reports[1]["copy_threshold"] == reward.copy_threshold()
    assert callback.reports[1]["scored"] == 2 * SAMPLES


def test_folders_that_do_not_belong_to_the_run(tmp_path):
    folder = tmp_path / "rounds"
    saver = keep_everywhere(tmp_path / "saved", folder)
    fit(rounds(folder, rounds=1), callbacks=[saver])
    path = saver.saved["round1-batch1"][0]
    with pytest.raises(MusicZooError, match="another run: samples differ"):
        fit(rounds(folder, rounds=1, samples=4))
    other = model()
    torch.nn.init.ones_(next(other.net.parameters()))
    with pytest.raises(MusicZooError, match="another run: policy differ"):
        fit(rounds(folder, rounds=1), other)
    with pytest.raises(MusicZooError, match=r"pairs of round 1.*are gone.*folder="):
        fit(rounds(tmp_path / "elsewhere", rounds=1), checkpoint=path)
    pieces, pairs = RoundFiles(folder / "round-001").training()
    RoundFiles(folder / "round-001").write_training(pieces, pairs[::-1])
    with pytest.raises(MusicZooError, match=r"pairs of round 1.*are others"):
        fit(rounds(folder, rounds=1), checkpoint=path)
    (folder / "round-001/plan.json").write_text("{")
    with pytest.raises(MusicZooError, match="cannot be read"):
        fit(rounds(folder, rounds=1))


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    source = data()
    module = model()
    trainer = lightning.Trainer(max_epochs=1, **QUIET)
    trainer.fit(module, source)
    trainer.save_checkpoint(tmp_path / "other.ckpt")
    with pytest.raises(MusicZooError, match="after 1 epochs of another training"):
        fit(rounds(tmp_path / "rounds"), source=source, checkpoint=tmp_path / "other.ckpt")


def test_a_fit_that_fails_leaves_everything_as_it_was(tmp_path):
    source, module = data(), model()
    with pytest.raises(MusicZooError, match="12: <lambda> gave nan"):
        fit(
            rounds(tmp_path, reward=lambda pieces: [float("nan")] * len(pieces)),
            module,
            source=source,
        )
    assert isinstance(module.objective, Likelihood)
    # A plain fit with the same objects trains on the works.
    watch = Watch()
    lightning.Trainer(max_epochs=1, callbacks=[watch], **QUIET).fit(module, source)
    assert watch.objectives == {"Likelihood"}
    assert watch.steps == 4


class Noted(Writer):
    """Notes what each process writes, for the process's objects are gone when it ends."""

    folder: Path

    def __call__(self, *args: Any, **options: Any) -> Any:
        results = super().__call__(*args, **options)
        with (self.folder / f"{os.getpid()}.calls").open("a") as file:
            file.write(json.dumps([result.text for result in results]) + "\n")
        return results


class KeepRanks(lightning.Callback):
    """The weights of each process at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        torch.save(module.state_dict(), self.folder / f"rank{trainer.global_rank}.pt")


def run(folder: Path, processes: int, accumulate: int) -> PreferenceRounds:
    folder.mkdir()

    class Here(Noted):
        pass

    Here.folder = folder
    module = model(lambda one: Here(one, by_weights=False), dropout=0.0, optimizer=sgd)
    strategy = {} if processes == 1 else {"devices": processes, "strategy": "ddp_fork"}
    callback = rounds(
        folder / "rounds", batch_size=2 // processes, objective=DPOP(beta=0.02), examine_last=True
    )
    fit(
        callback,
        module,
        callbacks=[KeepRanks(folder)],
        accumulate_grad_batches=accumulate,
        **strategy,
    )
    return callback


@pytest.mark.dist
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_equal_one(tmp_path, accumulate):
    one, two = tmp_path / "one", tmp_path / "two"
    run(one, 1, accumulate)
    run(two, 2, accumulate)

    # Each chunk is written once, by one of the two, and none is lost.
    texts = [
        [line for line in path.read_text().splitlines()] for path in sorted(two.glob("*.calls"))
    ]
    assert len(texts) == 2
    assert min(map(len, texts)) >= 3
    assert len({*texts[0], *texts[1]}) == len(texts[0]) + len(texts[1]) == 3 * CHUNKS
    for number in (1, 2, 3):
        alone, shared = (RoundFiles(folder / f"rounds/round-{number:03d}") for folder in (one, two))
        assert [(s.number, s.result.text, s.score, s.role) for s in shared.samples()] == [
            (s.number, s.result.text, s.score, s.role) for s in alone.samples()
        ]
        assert shared.report() == alone.report()
        if number < 3:
            (theirs, their_pairs), (pieces, pairs) = shared.training(), alone.training()
            assert their_pairs == pairs
            assert [p.reference for p in theirs] == pytest.approx(
                [p.reference for p in pieces], rel=1e-6
            )

    ranks = [torch.load(two / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    alone_weights = torch.load(one / "rank0.pt", weights_only=True)
    before = model().state_dict()
    moved = 0.0
    for name, value in alone_weights.items():
        assert torch.equal(ranks[0][name], ranks[1][name])
        torch.testing.assert_close(ranks[0][name], value, rtol=1e-5, atol=1e-5)
        moved = max(moved, float((value - before[name]).abs().max()))
    assert moved > 1e-2


def test_prompts_are_written_for_once(tmp_path):
    callback = rounds(tmp_path, rounds=1, prompts=[*PROMPTS, JIG], reward=notes)
    assert len(fit(callback).generate.calls) == CHUNKS
