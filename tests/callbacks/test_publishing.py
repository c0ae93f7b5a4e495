"""PublishToHub: the result of a fit on the Hub, or at least on the disk."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from huggingface_hub import ModelCard

import musiczoo
from musiczoo.callbacks import PublishToHub
from musiczoo.hub.card import Card
from musiczoo.music.errors import MusicZooError
from tests.hub.models import bar_stream
from tests.imitation_hub import ImitationHub


def fit(
    callback: PublishToHub,
    folder: Path,
    epochs: int = 2,
    losses: Any = None,
    validation: bool = True,
) -> Any:
    model = bar_stream()
    batch = model.reference_batch()
    loader = torch.utils.data.DataLoader([batch] * 3, batch_size=None)
    callbacks: list[Any] = [callback] if losses is None else [Scripted(losses), callback]
    trainer = lightning.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )
    trainer.fit(model, loader, loader if validation else None)
    return model


class Scripted(lightning.Callback):
    """Measures what a test wants to be measured."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = losses

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if not trainer.sanity_checking:
            self.log("val/quality", self.losses.pop(0))


def test_the_end_of_a_fit(imitation_hub: ImitationHub, tmp_path: Path) -> None:
    callback = PublishToHub("me/tuned", "cc-by-4.0", card=Card(summary="Tuned."))
    model = fit(callback, tmp_path)
    [done] = callback.published
    again = musiczoo.load(done.load_name)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            again.net.state_dict().values(), model.net.state_dict().values(), strict=True
        )
    )
    card = ModelCard(imitation_hub.files("me/tuned")["README.md"].decode())
    assert card.data.license == "cc-by-4.0"
    assert {row.metric_name for row in card.data.eval_results} == {"loss", "bits per character"}
    assert "after 6 steps" in card.text
    assert "steps 6" in card.text
    assert "Tuned." in card.text
    assert imitation_hub.repositories["me/tuned"].messages[done.commit] == "Step 6"
    musiczoo.load(f"local-dir:{tmp_path / 'published'}")


def test_each_best_validation(imitation_hub: ImitationHub, tmp_path: Path) -> None:
    callback = PublishToHub(
        "me/tuned", "mit", when="best", monitor="val/quality", mode="max", folder=tmp_path / "best"
    )
    fit(callback, tmp_path, epochs=4, losses=[-3.0, -4.0, -2.0, -2.5])
    messages = imitation_hub.repositories["me/tuned"].messages
    assert [messages[done.commit] for done in callback.published] == ["Step 3", "Step 9"]
    # The fit's last model is worse than the one that was published, and does not replace it.
    assert imitation_hub.repositories["me/tuned"].branches["main"] == callback.published[-1].commit


def test_without_validation_the_end_is_published(
    imitation_hub: ImitationHub, tmp_path: Path
) -> None:
    callback = PublishToHub("me/tuned", "mit", when="best")
    fit(callback, tmp_path, epochs=1, validation=False)
    assert len(callback.published) == 1


def test_a_refusal_does_not_lose_the_fit(
    imitation_hub: ImitationHub, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    callback = PublishToHub("me/tuned", "mit", when="best")
    with caplog.at_level(logging.ERROR):
        model = fit(callback, tmp_path, epochs=1)
    assert not callback.published
    assert "does not allow this" in caplog.text
    assert f"musiczoo publish {tmp_path / 'published'} me/tuned --licence mit" in caplog.text
    again = musiczoo.load(f"local-dir:{tmp_path / 'published'}")
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            again.net.state_dict().values(), model.net.state_dict().values(), strict=True
        )
    )


def test_a_folder_that_cannot_be_written_does_not_lose_the_fit(
    imitation_hub: ImitationHub, tmp_path: Path, caplog: Any
) -> None:
    (tmp_path / "file").write_text("in the way")
    callback = PublishToHub("me/tuned", "mit", folder=tmp_path / "file")
    with caplog.at_level(logging.ERROR):
        model = fit(callback, tmp_path, epochs=1)
    assert "file of this name" in caplog.text
    assert model.provenance["training"][-1]["steps"] == 3
    assert not imitation_hub.repositories


def test_what_is_wrong_is_said_before_the_training() -> None:
    with pytest.raises(MusicZooError, match=r"cc-by-4\.0"):
        PublishToHub("me/tuned", "cc-by-4")
    with pytest.raises(MusicZooError, match="end or best"):
        PublishToHub("me/tuned", "mit", when="always")  # type: ignore[arg-type]


def test_only_the_first_process_publishes(
    imitation_hub: ImitationHub, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(lightning.Trainer, "is_global_zero", False)
    callback = PublishToHub("me/tuned", "mit")
    fit(callback, tmp_path, epochs=1)
    assert not callback.published
    assert not (tmp_path / "published").exists()


def test_a_metric_that_there_is_not(imitation_hub: ImitationHub, tmp_path: Path) -> None:
    with pytest.raises(MusicZooError, match="val/bits_per_character"):
        fit(PublishToHub("me/tuned", "mit", when="best", monitor="val/lost"), tmp_path, epochs=1)
