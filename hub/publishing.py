"""Puts a model on the Hugging Face Hub as a checkpoint folder.

That is weights, configuration, card, and inputs and outputs to verify a download. Everything is
checked before anything is sent, and it is one commit: an upload that is interrupted leaves the
repository as it was (a repository made for it stays, empty) and can be repeated.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from musiczoo.hub.card import Card
from musiczoo.hub.card_fields import check_licence
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.hub.format import (
    CONFIG,
    WEIGHTS,
    Checkpoint,
    read_checkpoint,
    with_card,
    write_config,
)
from musiczoo.hub.registry import LOCAL
from musiczoo.hub.transfer import UPLOAD_ERRORS, explained
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class Publication:
    """Where a model was published.

    Attributes:
        repository: ``"org/name"``.
        url: Of its page.
        commit: The commit that holds the model.
        load_name: The name by which :func:`musiczoo.load` gets exactly these weights.
    """

    repository: str
    url: str
    commit: str
    load_name: str


Published = Publication  # the name until 0.1


def publish(
    model: Any,
    repository: str,
    *,
    licence: str,
    licence_name: str = "",
    licence_link: str = "",
    figures: Mapping[str, Any] | None = None,
    card: Card | None = None,
    dtype: str = "float32",
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    message: str = "",
    token: str | None = None,
    endpoint: str | None = None,
) -> Publication:
    """Publishes a model on the Hugging Face Hub as a checkpoint folder.

    Args:
        model: A module of the zoo, or a checkpoint folder.
        repository: ``"org/name"``; made if there is none.
        licence: Of the weights, by the Hub's identifier (``"cc-by-4.0"``), or ``"other"`` with a
            name and a link. Fine-tuned weights stay under the terms of what they were trained from.
        licence_name: Of a licence that is ``"other"``.
        licence_link: To its text.
        figures: What was measured, see :meth:`musiczoo.hub.card.Card.with_figures`.
        card: What else the model card states; of a folder, its own by default.
        dtype: ``"float32"`` or ``"bfloat16"``; a folder is sent as it is.
        private: Make the repository private if it does not exist yet.
        revision: Branch; made from the main branch if there is none.
        tag: A name for this version, which must be new.
        message: Of the commit.
        token: Access token; the one of ``hf auth login`` or of HF_TOKEN by default.
        endpoint: Another address of the Hub.

    Returns:
        The repository, its page and the commit.

    Raises:
        MusicZooError: A wrong licence or repository name, a model that cannot be saved, no token,
            no permission, no network.
    """
    check_licence(licence, licence_name, licence_link)
    _check_target(repository, token)
    source = read_checkpoint(model) if isinstance(model, str | Path) else None
    facts = card or (Card() if source is None else source.card)
    terms = dict(licence=licence, licence_name=licence_name, licence_link=licence_link)
    facts = _named(facts, repository, tag or revision, **terms)
    facts = facts.with_figures(figures or {})
    with tempfile.TemporaryDirectory(prefix="musiczoo-") as temporary:
        folder = Path(temporary) / repository.rpartition("/")[2]
        if source is None:
            save_checkpoint(model, folder, card=facts, dtype=dtype)
        else:
            _copy(source, folder, facts)
        _check_base(folder, repository)
        api = HfApi(endpoint=endpoint, token=token, library_name="musiczoo")
        message = message or f"{facts.title}, by musiczoo"
        return _upload(api, folder, repository, private, revision, tag, message)


def _named(card: Card, repository: str, revision: str | None, **terms: Any) -> Card:
    """The card with the name under which the model can be loaded, a title, and the licence."""
    name = f"hf-hub:{repository}@{revision}" if revision else f"hf-hub:{repository}"
    return replace(card, title=card.title or repository.rpartition("/")[2], load_name=name, **terms)


def _check_target(repository: str, token: str | None) -> None:
    """Checks the name of the repository and that there is a token, before anything is sent."""
    if repository.count("/") != 1:
        raise MusicZooError(
            f"{repository!r} is no repository.",
            where="repository",
            remedy="Write org/name, with your user name or organisation.",
        )
    try:
        # Makes an address, and checks the name for it; nothing is sent.
        huggingface_hub.hf_hub_url(repository, CONFIG)
    except ValueError as error:
        raise explained(error, repository) from error
    if token is None and huggingface_hub.get_token() is None:
        raise MusicZooError(
            "There is no access token for the Hugging Face Hub.",
            where=repository,
            remedy="Log in (hf auth login) or set HF_TOKEN.",
        )


def _copy(source: Checkpoint, folder: Path, card: Card) -> None:
    """Copies a checkpoint folder, with another card."""
    source.check_files()
    for name in source.content["files"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.folder / name, folder / name)
    write_config(replace(with_card(source, card), folder=folder))


def _check_base(folder: Path, repository: str) -> None:
    """Refuses an adapter whose base nobody else can load."""
    base = str(read_checkpoint(folder).content.get("adapter", {}).get("base", ""))
    if base.startswith(LOCAL):
        raise MusicZooError(
            "The base of the adapter is a folder of this machine, which nobody else can load.",
            where=repository,
            remedy=(
                "Publish the base and train the adapter beside hf-hub:org/base, or merge it"
                " (model.merge_adapter())."
            ),
        )


def _upload(
    api: HfApi,
    folder: Path,
    repository: str,
    private: bool,
    branch: str | None,
    tag: str | None,
    message: str,
) -> Publication:
    """Sends a folder as one commit."""
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        if branch is not None:
            api.create_branch(repository, branch=branch, exist_ok=True)
        if tag is not None and tag in {
            reference.name for reference in api.list_repo_refs(repository).tags
        }:
            raise MusicZooError(
                f"The repository has a tag {tag!r} already.",
                where=repository,
                remedy="Choose another: a tag names one version for good.",
            )
        commit = api.create_commit(
            repository,
            _operations(api, folder, repository, branch),
            commit_message=message,
            revision=branch,
        )
        if tag is not None:
            api.create_tag(repository, tag=tag, revision=commit.oid)
    except UPLOAD_ERRORS as error:
        raise explained(error, repository) from error
    return Publication(
        repository, f"{api.endpoint}/{repository}", commit.oid, f"hf-hub:{repository}@{commit.oid}"
    )


def _operations(
    api: HfApi, folder: Path, repository: str, branch: str | None
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """Adds every file of a folder, and deletes weights of an older version.

    They (more shards, an adapter) would stay beside those of the new one.
    """
    files = {
        str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    old = [
        name
        for name in api.list_repo_files(repository, revision=branch)
        if WEIGHTS.fullmatch(name) or name.startswith(("model.safetensors", "adapter/"))
    ]
    return [
        *(
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=path)
            for name, path in files.items()
        ),
        *(CommitOperationDelete(path_in_repo=name) for name in old if name not in files),
    ]
