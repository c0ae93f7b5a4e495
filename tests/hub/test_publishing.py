"""Publishing and loading over the Hub's HTTP API, as far as an imitation of it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard

import musiczoo
from musiczoo.hub.card import Card, Source
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.adapters import LoRA
from musiczoo.music.errors import MusicZooError
from tests.hub.models import bar_stream
from tests.imitation_hub import ImitationHub, Repository


def louder(model: Any) -> Any:
    with torch.no_grad():
        model.net.char_level_decoder.transformer.wte.weight *= 1.5
    return model


def equal(one: Any, other: Any) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(one.net.state_dict().values(), other.net.state_dict().values(), strict=True)
    )


def files_in(hub: ImitationHub, name: str = "me/model") -> dict[str, bytes]:
    return hub.files(name) if name in hub.repositories else {}


def test_publish_list_and_load_at_a_revision(imitation_hub: ImitationHub) -> None:
    first = musiczoo.publish(
        bar_stream(), "me/model", licence="cc-by-4.0", tag="v1", figures={"bits per character": 1.5}
    )
    assert first.url == f"{imitation_hub.url}/me/model"
    assert sorted(files_in(imitation_hub)) == [
        "README.md",
        "config.json",
        "io.safetensors",
        "model.safetensors",
    ]
    # The first commit is the one that makes the repository.
    repository = imitation_hub.repositories["me/model"]
    assert list(repository.commits)[1:] == [first.commit]
    second = musiczoo.publish(
        louder(bar_stream()), "me/model", licence="cc-by-4.0", message="Louder"
    )
    assert list(repository.commits)[1:] == [first.commit, second.commit]
    assert repository.messages[second.commit] == "Louder"

    newest = musiczoo.load("hf-hub:me/model")
    assert equal(newest, louder(bar_stream()))
    for revision in ("v1", first.commit):
        assert equal(musiczoo.load(f"hf-hub:me/model@{revision}"), bar_stream())
    assert equal(musiczoo.load(first.load_name), bar_stream())
    assert newest.loaded_from == {
        "name": "hf-hub:me/model",
        "revision": second.commit,
        "licence": "cc-by-4.0",
    }
    # What a run that starts from it writes down is the commit, also where main was asked for.
    assert newest.source == second.load_name == f"hf-hub:me/model@{second.commit}"


def test_branch_and_private(imitation_hub: ImitationHub) -> None:
    musiczoo.publish(bar_stream(), "me/model", licence="mit", private=True)
    done = musiczoo.publish(louder(bar_stream()), "me/model", licence="mit", revision="louder")
    repository = imitation_hub.repositories["me/model"]
    assert repository.private
    assert repository.branches["louder"] == done.commit != repository.branches["main"]
    assert equal(musiczoo.load("hf-hub:me/model@louder"), louder(bar_stream()))
    assert equal(musiczoo.load("hf-hub:me/model"), bar_stream())


def test_a_private_repository_needs_a_token(
    imitation_hub: ImitationHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    musiczoo.publish(bar_stream(), "me/model", licence="mit", private=True)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(MusicZooError, match="private"):
        musiczoo.load("hf-hub:me/model")


def test_shards_of_an_older_version_go(imitation_hub: ImitationHub, tmp_path: Path) -> None:
    sharded = save_checkpoint(bar_stream(), tmp_path / "sharded", max_shard_size="100KB")
    musiczoo.publish(sharded, "me/model", licence="mit")
    assert "model.safetensors.index.json" in files_in(imitation_hub)
    assert equal(musiczoo.load("hf-hub:me/model"), bar_stream())
    musiczoo.publish(bar_stream(), "me/model", licence="mit")
    assert sorted(files_in(imitation_hub)) == [
        "README.md",
        "config.json",
        "io.safetensors",
        "model.safetensors",
    ]


def test_a_folder_is_sent_as_it_is_but_for_its_card(
    imitation_hub: ImitationHub, tmp_path: Path
) -> None:
    card = Card(
        title="Tiny", summary="A tiny model.", data=(Source("bach-chorales", "public domain", 370),)
    )
    folder = save_checkpoint(
        bar_stream(), tmp_path / "saved", card=card.with_figures({"loss": 1.0}), dtype="bfloat16"
    )
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    musiczoo.publish(
        folder,
        "me/model",
        licence="cc0-1.0",
        figures={"bits per character": {"value": 1.25, "data": "held-out reels"}},
    )
    sent = files_in(imitation_hub)
    assert {name: sent[name] for name in ("model.safetensors", "io.safetensors")} == {
        name: before[name] for name in ("model.safetensors", "io.safetensors")
    }
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    text = sent["README.md"].decode()
    metadata = ModelCard(text).data
    assert metadata.license == "cc0-1.0"
    assert [
        (row.metric_name, row.metric_value, row.dataset_name) for row in metadata.eval_results
    ] == [
        ("loss", 1.0, "held-out works"),
        ("bits per character", 1.25, "held-out reels"),
    ]
    for words in (
        'musiczoo.load("hf-hub:me/model")',
        "# Tiny",
        "A tiny model.",
        "bach-chorales",
        "O'Neill's Music of Ireland",
    ):
        assert words in text
    (folder / "model.safetensors").write_bytes(before["model.safetensors"][:-1])
    with pytest.raises(MusicZooError, match="bytes instead of"):
        musiczoo.publish(folder, "me/model", licence="cc0-1.0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"licence": "cc-by-4"}, "cc-by-4.0"),
        ({"licence": "Apache 2.0"}, "apache-2.0"),
        ({"licence": "other"}, "licence_link"),
        ({"licence": "mit", "repository": "model"}, "org/name"),
        ({"licence": "mit", "repository": "me/mo del"}, "no repository name"),
        ({"licence": "mit", "figures": {"loss": "low"}}, "loss"),
        ({"licence": "mit", "figures": {"loss": float("nan")}}, "measured"),
        ({"licence": "mit", "figures": {"loss": {"number": 1}}}, "value, data and how"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    imitation_hub: ImitationHub, words: dict[str, Any], said: str
) -> None:
    with pytest.raises(MusicZooError, match=said) as caught:
        musiczoo.publish(bar_stream(), **{"repository": "me/model", **words})
    assert caught.value.remedy
    assert not imitation_hub.requests


def test_no_token_wrong_token_and_no_permission(
    imitation_hub: ImitationHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for token, said in (
        ("hf_unknown", "does not know your access token"),
        ("hf_reader", "does not allow this"),
    ):
        with pytest.raises(MusicZooError, match=said):
            musiczoo.publish(bar_stream(), "me/model", licence="mit", token=token)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(MusicZooError, match="hf auth login"):
        musiczoo.publish(bar_stream(), "me/model", licence="mit")
    assert not imitation_hub.repositories


def test_a_tag_names_one_version_for_good(imitation_hub: ImitationHub) -> None:
    first = musiczoo.publish(bar_stream(), "me/model", licence="mit", tag="v1")
    with pytest.raises(MusicZooError, match="has a tag 'v1' already"):
        musiczoo.publish(louder(bar_stream()), "me/model", licence="mit", tag="v1")
    assert imitation_hub.repositories["me/model"].branches["main"] == first.commit


@pytest.mark.parametrize("at", ["preupload", "objects/batch", "PUT /blobs", "commit/main"])
def test_an_interrupted_upload_leaves_the_repository_as_it_was_and_can_be_repeated(
    imitation_hub: ImitationHub, at: str, monkeypatch: Any
) -> None:
    # The client tries again for half a minute before it gives up.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    first = musiczoo.publish(bar_stream(), "me/model", licence="mit")
    before = files_in(imitation_hub)
    imitation_hub.breaks = at
    with pytest.raises(MusicZooError) as caught:
        musiczoo.publish(louder(bar_stream()), "me/model", licence="mit")
    assert caught.value.remedy
    assert files_in(imitation_hub) == before
    assert imitation_hub.repositories["me/model"].branches["main"] == first.commit
    imitation_hub.breaks = None
    musiczoo.publish(louder(bar_stream()), "me/model", licence="mit")
    assert equal(musiczoo.load("hf-hub:me/model"), louder(bar_stream()))


def test_no_network(imitation_hub: ImitationHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MusicZooError, match="connection to the Hugging Face Hub failed"):
        musiczoo.publish(bar_stream(), "me/model", licence="mit")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MusicZooError, match="HF_HUB_OFFLINE"):
        musiczoo.publish(bar_stream(), "me/model", licence="mit")


def test_offline_from_the_cache_and_with_nothing_cached(
    imitation_hub: ImitationHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = musiczoo.publish(bar_stream(), "me/model", licence="mit")
    musiczoo.load("hf-hub:me/model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    asked = len(imitation_hub.requests)
    for name in ("hf-hub:me/model", f"hf-hub:me/model@{done.commit}"):
        assert equal(musiczoo.load(name), bar_stream())
    assert len(imitation_hub.requests) == asked
    with pytest.raises(MusicZooError, match="not in its cache") as caught:
        musiczoo.load("hf-hub:me/other")
    assert "Go online once" in str(caught.value)


def test_the_server_is_gone_and_the_cache_is_there(
    imitation_hub: ImitationHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    musiczoo.publish(bar_stream(), "me/model", licence="mit")
    musiczoo.load("hf-hub:me/model")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    imitation_hub.close()
    assert equal(musiczoo.load("hf-hub:me/model"), bar_stream())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf-hub:me/none", "no such repository"),
        ("hf-hub:me/gpt2@v9", "no such revision"),
        ("hf-hub:me", "Write hf-hub:org/name"),
        ("hf-hub:me/a/b", "Write hf-hub:org/name"),
        ("hf-hub:me/-a-", "no repository name"),
        ("hf-hub:me/gpt2", "no configuration of musiczoo"),
        ("hf-hub:me/empty", "no such file"),
    ],
)
def test_what_the_hub_does_not_have(imitation_hub: ImitationHub, name: str, said: str) -> None:
    for other, files in {
        "gpt2": {"config.json": b'{"architectures": ["GPT2"]}'},
        "empty": {},
    }.items():
        imitation_hub.repositories[f"me/{other}"] = Repository()
        imitation_hub.repositories[f"me/{other}"].commit("main", files, "first")
    with pytest.raises(MusicZooError, match=said) as caught:
        musiczoo.load(name)
    assert caught.value.remedy


@pytest.mark.parametrize("file", ["model.safetensors", "io.safetensors", "README.md"])
def test_a_file_that_is_missing_in_the_repository(imitation_hub: ImitationHub, file: str) -> None:
    musiczoo.publish(bar_stream(), "me/model", licence="mit")
    files = files_in(imitation_hub)
    imitation_hub.repositories["me/model"].commit(
        "main", {name: data for name, data in files.items() if name != file}, "lost"
    )
    with pytest.raises(MusicZooError, match=f"{file}.*no such file"):
        musiczoo.load("hf-hub:me/model")


def flipped(data: bytes) -> bytes:
    return data[:-500] + bytes([data[-500] ^ 1]) + data[-499:]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flipped, "SHA-256"),
        (
            lambda data: data[: len(data) // 2],
            "connection|Consistency|bytes|could not be used|failed",
        ),
    ],
    ids=["changed", "truncated"],
)
def test_a_download_that_is_corrupted_on_the_way(
    imitation_hub: ImitationHub, damage: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    musiczoo.publish(bar_stream(), "me/model", licence="mit")
    imitation_hub.damage["model.safetensors"] = damage
    with pytest.raises(MusicZooError, match=said) as caught:
        musiczoo.load("hf-hub:me/model")
    assert caught.value.remedy


def test_a_repository_that_was_corrupted(imitation_hub: ImitationHub) -> None:
    musiczoo.publish(bar_stream(), "me/model", licence="mit")
    files = files_in(imitation_hub)
    imitation_hub.repositories["me/model"].commit(
        "main", {**files, "model.safetensors": files["model.safetensors"][:-8]}, "cut"
    )
    with pytest.raises(MusicZooError, match="bytes instead of"):
        musiczoo.load("hf-hub:me/model")


def trained(base: str) -> Any:
    model = musiczoo.load(base, lora=LoRA(rank=2))
    with torch.no_grad():
        for name, parameter in model.net.named_parameters():
            if "lora_" in name:
                parameter.add_(0.1)
    return model


def test_an_adapter_goes_beside_its_base(imitation_hub: ImitationHub, tmp_path: Path) -> None:
    base = musiczoo.publish(bar_stream(), "org/base", licence="cc-by-4.0")
    # The base moves on; the adapter belongs to the commit that it was trained beside.
    model = trained("hf-hub:org/base")
    musiczoo.publish(louder(bar_stream()), "org/base", licence="cc-by-4.0")
    musiczoo.publish(model, "me/adapter", licence="cc-by-4.0")
    sent = files_in(imitation_hub, "me/adapter")
    assert sorted(sent) == [
        "README.md",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "config.json",
        "io.safetensors",
    ]
    config = json.loads(sent["adapter/adapter_config.json"])
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/base", base.commit)
    metadata = ModelCard(sent["README.md"].decode()).data
    assert (metadata.base_model, metadata.base_model_relation) == ("org/base", "adapter")
    again = musiczoo.load("hf-hub:me/adapter")
    assert equal(again, model)
    batch = model.reference_batch()
    assert torch.equal(
        again.reference_outputs(batch)["log_probs"],
        model.eval().reference_outputs(batch)["log_probs"],
    )
    # Saved again from there, it still names the base, not itself.
    save_checkpoint(again, tmp_path / "again")
    assert (
        json.loads((tmp_path / "again/config.json").read_text())["adapter"]["base"]
        == base.load_name
    )
    merged = again.merge_adapter()
    musiczoo.publish(merged, "me/merged", licence="cc-by-4.0")
    assert "model.safetensors" in files_in(imitation_hub, "me/merged")


def test_an_adapter_of_a_local_base(
    imitation_hub: ImitationHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(bar_stream(), tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    model = trained("local-dir:base")
    folder = save_checkpoint(model, tmp_path / "adapter")
    monkeypatch.chdir(tmp_path.parent)
    assert equal(musiczoo.load(f"local-dir:{folder}"), model)
    for thing in (model, folder):
        with pytest.raises(MusicZooError, match="folder of this machine"):
            musiczoo.publish(thing, "me/adapter", licence="mit")
    assert not imitation_hub.requests
    # peft alone reads it too, and computes the same.
    from peft import PeftModel

    plain = musiczoo.load(f"local-dir:{tmp_path / 'base'}")
    PeftModel.from_pretrained(plain.net, str(folder / "adapter")).eval()
    batch = model.reference_batch()
    assert torch.equal(
        plain.reference_outputs(batch)["log_probs"],
        model.eval().reference_outputs(batch)["log_probs"],
    )
    save_checkpoint(louder(bar_stream()), tmp_path / "base", overwrite=True)
    with pytest.raises(MusicZooError, match="beside another version"):
        musiczoo.load(f"local-dir:{folder}")
    nameless = bar_stream().add_lora(LoRA(rank=2))
    with pytest.raises(MusicZooError, match="must name its base"):
        save_checkpoint(nameless, tmp_path / "nameless")
