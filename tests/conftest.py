"""What holds for every test: no network, a cache of its own, one thread a process. Set before torch and the Hub's client are imported."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imitation_hub import ImitationHub

# pytest-xdist's workers inherit the environment, so that all of them share the first process's
# cache: a corpus is parsed once in a run.
_FIRST_PROCESS = "PYTEST_XDIST_WORKER" not in os.environ
if _FIRST_PROCESS:
    os.environ["MUSICZOO_CACHE"] = tempfile.mkdtemp(prefix="musiczoo-tests-")
os.environ.update(
    HF_HOME=os.path.join(os.environ["MUSICZOO_CACHE"], "hub"),
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_XET="1",
    MPLBACKEND="agg",
    TOKENIZERS_PARALLELISM="false",
    TRANSFORMERS_OFFLINE="1",
)
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_unconfigure() -> None:
    if _FIRST_PROCESS:
        shutil.rmtree(os.environ["MUSICZOO_CACHE"], ignore_errors=True)


def _is_local(address: object) -> bool:
    return (
        not isinstance(address, tuple)
        or str(address[0]) in {"localhost", "::1"}
        or str(address[0]).startswith("127.")
    )


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """A connection out of this machine fails at once instead of passing where there happens to be a network."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if not _is_local(address):
            raise AssertionError(f"A test tried to reach {address}.")
        connect(self, address)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture
def imitation_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImitationHub]:
    """An empty Hub on this machine, with an empty cache and a token that may write."""
    hub = ImitationHub()
    # The client reads its environment when it is imported.
    settings = {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
    }
    for name, value in settings.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    yield hub
    hub.close()
