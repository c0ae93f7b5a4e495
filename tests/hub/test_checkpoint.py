"""Checkpoint folders: written whole or not at all, and nothing that is wrong in one goes unnoticed."""

from __future__ import annotations

import json
import os
import re
import resource
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from musiczoo.hub import checkpoint as hub_checkpoint
from musiczoo.hub.checkpoint import open_checkpoint, read_checkpoint, save_checkpoint
from musiczoo.hub.folders import new_folder
from musiczoo.hub.format import with_files
from musiczoo.hub.tensors import check_fit, fill, rounded
from musiczoo.music.errors import MusicZooError
from tests.hub.models import bar_stream


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_checkpoint(bar_stream(), tmp_path / "saved")


def change_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / "config.json").read_text())
    change(content)
    (folder / "config.json").write_text(json.dumps(content))


def change_tensors(
    folder: Path, file: str, change: Callable[[dict[str, torch.Tensor]], Any]
) -> None:
    """Changes tensors and makes sizes and digests right again, as somebody would who means it."""
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file)
    told = with_files(folder, {})
    change_config(folder, lambda content: content.update(files=told.content["files"]))


def test_what_a_folder_holds(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "io.safetensors",
        "model.safetensors",
    ]
    content = json.loads((folder / "config.json").read_text())
    assert content["format"] == 2
    assert content["architecture"] == "bar_stream"
    assert content["config"]["hidden"] == 32
    assert content["representation"] == {
        "name": "bar_stream",
        "settings": {"patch_size": 16, "max_length": 64, "omit_rests": False},
    }
    assert content["stage"] == "finetune"
    assert content["conditioning"]["prompts"][0] == [
        "Baroque",
        "Bach, Johann Sebastian",
        "Choral",
        370,
    ]
    assert content["parameters"] == sum(
        parameter.numel() for parameter in bar_stream().net.parameters()
    )
    assert {"musiczoo", "torch"} <= set(content["versions"])
    stored = load_file(folder / "io.safetensors")
    assert set(stored) == {"input.patches", "input.lengths", "output.log_probs"}
    assert stored["output.log_probs"].count_nonzero() > 300
    umask = os.umask(0)
    os.umask(umask)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o666 & ~umask}


def test_settings_and_random_numbers(folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = open_checkpoint(folder, dropout=0.0, seed=9)
    assert torch.equal(torch.rand(3), expected)
    assert model.seed == 9
    assert {part.p for part in model.net.modules() if isinstance(part, nn.Dropout)} == {0.0}
    with pytest.raises(MusicZooError, match="hidden_size"):
        open_checkpoint(folder, hidden_size=3)


def test_shards(tmp_path: Path) -> None:
    model = bar_stream()
    folder = save_checkpoint(model, tmp_path / "saved", max_shard_size="100KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    again = open_checkpoint(folder)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            again.net.state_dict().values(), model.net.state_dict().values(), strict=True
        )
    )
    next(folder.glob("model-00002*")).unlink()
    with pytest.raises(MusicZooError, match=r"model-00002.*lacks this file"):
        open_checkpoint(folder)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["model.safetensors", "io.safetensors"])
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (Path.unlink, "lacks this file"),
        (cut, "bytes instead of"),
        (flip, "SHA-256"),
        (lambda path: path.write_bytes(b""), "0 bytes"),
    ],
)
def test_a_file_that_is_not_what_was_saved(
    folder: Path, file: str, harm: Callable[[Path], Any], words: str
) -> None:
    harm(folder / file)
    with pytest.raises(MusicZooError, match=words) as caught:
        open_checkpoint(folder)
    assert file in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(format=3), "upgrade"),
        (lambda c: c.pop("format"), "no configuration of musiczoo"),
        (lambda c: c.update(architecture="bar_streem"), "It knows bar_stream"),
        (lambda c: c.update(architecture=None), "architecture"),
        (lambda c: c["representation"].update(name="octuplet"), "octuplet"),
        (
            lambda c: c["representation"]["settings"].update(patch_size=8),
            "representation does not fit",
        ),
        (lambda c: c["representation"]["settings"].update(colour=1), "colour"),
        (lambda c: c["config"].update(hidden=64), "instead of"),
        (lambda c: c["config"].update(hidden="wide"), "do not fit"),
        (lambda c: c["config"].update(char_layers=2), "is missing"),
        (lambda c: c["config"].update(patch_layers=0), "is not part of the model"),
        (lambda c: c["config"].update(heads=4), "does not compute what it did"),
        (lambda c: c.pop("files"), "files"),
        (lambda c: c["files"].pop("io.safetensors"), "lacks the weights or io"),
        (lambda c: c["files"].pop("model.safetensors"), "lacks the weights or io"),
        (
            lambda c: c["files"].update({"../../etc/passwd": {"bytes": 1, "sha256": ""}}),
            "wrong row",
        ),
        (lambda c: c["files"].update({"model.safetensors": 3}), "wrong row"),
        (lambda c: c["conditioning"]["prompts"].append("Baroque"), "conditioning"),
    ],
)
def test_a_configuration_that_does_not_fit(
    folder: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    change_config(folder, change)
    with pytest.raises(MusicZooError, match=re.escape(words)):
        open_checkpoint(folder)


def test_a_licence_that_this_version_does_not_know_opens_and_is_not_published(folder: Path) -> None:
    change_config(folder, lambda c: c["card"].update(licence="mitt"))
    assert open_checkpoint(folder).loaded_from["licence"] == "mitt"
    with pytest.raises(MusicZooError, match="Did you mean mit"):
        _ = read_checkpoint(folder).card


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"architectures": ["GPT2"]}', "\ud800"])
def test_a_configuration_that_is_none(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(MusicZooError, match=r"config\.json"):
        open_checkpoint(folder)


def test_weights_that_were_changed_on_purpose(folder: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["char_level_decoder.base.transformer.ln_f.weight"] *= 1.1

    change_tensors(folder, "model.safetensors", change)
    with pytest.raises(MusicZooError, match="does not compute what it did"):
        open_checkpoint(folder)


def test_missing_surplus_and_misshapen_tensors_are_named(folder: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["patch_level_decoder.base.h.0.mlp.c_fc.bias"]
        tensors["char_level_decoder.base.transformer.h.0.ln_1.weight"] = torch.zeros(3)
        tensors["surplus"] = torch.zeros(1)

    change_tensors(folder, "model.safetensors", change)
    with pytest.raises(MusicZooError) as caught:
        open_checkpoint(folder)
    for words in (
        "c_fc.bias is missing",
        "ln_1.weight has shape (3,) instead of (32,)",
        "surplus is not part of the model",
    ):
        assert words in str(caught.value)


def test_no_pickle_is_ever_opened(folder: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "canary"), "w")

    torch.save({"x": Bomb()}, folder / "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes((folder / "model.safetensors").read_bytes())
    told = with_files(folder, {})
    change_config(folder, lambda content: content.update(files=told.content["files"]))
    with pytest.raises(MusicZooError, match="no readable safetensors"):
        open_checkpoint(folder)
    assert not (tmp_path / "canary").exists()


def test_an_older_folder_gives_way_only_when_asked_and_nothing_else_ever(
    folder: Path, tmp_path: Path
) -> None:
    before = (folder / "config.json").read_bytes()
    with pytest.raises(MusicZooError, match="exists"):
        save_checkpoint(bar_stream(), folder)
    assert (folder / "config.json").read_bytes() == before
    (folder / "old.txt").write_text("of the older version")
    save_checkpoint(bar_stream(), folder, overwrite=True)
    assert not (folder / "old.txt").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(MusicZooError, match="something else"):
        save_checkpoint(bar_stream(), tmp_path / "mine", overwrite=True)
    (tmp_path / "file").write_text("a file")
    with pytest.raises(MusicZooError, match="file of this name"):
        save_checkpoint(bar_stream(), tmp_path / "file", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine", "saved"]
    (tmp_path / "empty").mkdir()
    open_checkpoint(save_checkpoint(bar_stream(), tmp_path / "empty"))


@pytest.mark.parametrize("fails", ["save_torch_state_dict", "save_file", "write_config"])
def test_an_interrupt_leaves_what_was_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hub_checkpoint, fails, interrupted)
    for target in (folder, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(bar_stream(), target, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_failing_second_move_takes_the_first_one_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = []
    replace = os.replace

    def move(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == 2:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", move)
    with (
        pytest.raises(MusicZooError, match="Input/output error"),
        new_folder(folder, replaces="config.json") as part,
    ):
        (part / "new").write_text("new")
    assert len(moves) == 3
    monkeypatch.undo()
    open_checkpoint(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the end of the disk: the system call fails in the same place."""
    model = bar_stream()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (100, 2_000, 100_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(MusicZooError, match="cannot be written"):
                save_checkpoint(model, tmp_path / "saved")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(MusicZooError, match="cannot be written"):
        save_checkpoint(bar_stream(), tmp_path / "file" / "saved")


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    diverged = bar_stream()
    next(diverged.net.parameters()).data[0] = float("nan")
    with pytest.raises(MusicZooError, match="diverged"):
        save_checkpoint(diverged, tmp_path / "saved")
    with pytest.raises(MusicZooError, match="no module of the zoo"):
        save_checkpoint(nn.Linear(2, 2), tmp_path / "saved")  # type: ignore[arg-type]
    with pytest.raises(MusicZooError, match="float32 or bfloat16"):
        save_checkpoint(bar_stream(), tmp_path / "saved", dtype="int4")
    talkative = bar_stream()
    talkative.provenance["callback"] = print
    with pytest.raises(MusicZooError, match="plain JSON"):
        save_checkpoint(talkative, tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_outputs_are_those_of_the_rounded_weights(tmp_path: Path) -> None:
    folder = save_checkpoint(bar_stream(), tmp_path / "saved", dtype="bfloat16")
    stored = load_file(folder / "io.safetensors")["output.log_probs"]
    exact = bar_stream()
    assert not torch.allclose(
        exact.reference_outputs(exact.reference_batch())["log_probs"], stored, atol=1e-6
    )
    again = open_checkpoint(folder)
    assert torch.equal(again.reference_outputs(again.reference_batch())["log_probs"], stored)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.table.weight


def test_tied_tensors_are_stored_once_and_stay_tied() -> None:
    net = Tied()
    copies = rounded(net.state_dict(), torch.bfloat16)
    assert copies["head.weight"] is copies["table.weight"]
    assert copies["table.weight"].dtype == torch.bfloat16
    other = Tied()
    fill(other, {"table.weight": copies["table.weight"]})
    assert torch.equal(other.head.weight, copies["table.weight"].float())
    assert other.head.weight.data_ptr() == other.table.weight.data_ptr()
    with pytest.raises(MusicZooError, match="is missing"):
        check_fit(net.state_dict(), {})


def test_a_folder_of_another_program(tmp_path: Path) -> None:
    with pytest.raises(MusicZooError, match="no such checkpoint folder"):
        read_checkpoint(tmp_path / "none")
    with pytest.raises(MusicZooError, match=r"no config\.json"):
        read_checkpoint(tmp_path)
