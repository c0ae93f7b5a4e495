"""A small imitation of the Hugging Face Hub's HTTP API, for one process and one test: repositories are commits in memory.

It knows what the client library asks for when musiczoo publishes and loads, refuses what the real
Hub refuses (no token, a token without write access, invalid metadata), and can be made to fail:
``hub.breaks`` names the request at which the connection ends.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

Files = dict[str, bytes]


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit("main", {}, "initial commit")

    def commit(self, branch: str, files: Files, message: str) -> str:
        text = f"{len(self.commits)}{branch}{sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items())}"
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.commits[oid], self.messages[oid], self.branches[branch] = files, message, oid
        return oid

    def resolve(self, revision: str) -> str | None:
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        return oid if oid in self.commits else None


class ImitationHub:
    """The server; ``repositories`` may be looked at and changed by a test."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.tokens = {"hf_writer": True, "hf_reader": False}
        self.breaks: str | None = None
        self.damage: dict[str, Any] = {}
        self.requests: list[str] = []
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self})
        )
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def files(self, repository: str, revision: str = "main") -> Files:
        repo = self.repositories[repository]
        return repo.commits[repo.resolve(revision) or ""]


class _Handler(BaseHTTPRequestHandler):
    hub: ImitationHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None: ...

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  # names that http.server asks for

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        asked = f"{self.command} {path}"
        self.hub.requests.append(asked)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.hub.breaks and re.search(self.hub.breaks, asked):
            self.close_connection = True
            self.connection.close()
            return
        for pattern, handle in _ROUTES:
            if match := re.fullmatch(pattern, asked):
                handle(self, *match.groups())
                return
        self._answer(404, {"error": f"the imitation does not know {asked}"})

    def _answer(
        self,
        status: int,
        content: Any = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> None:
        data = (
            raw if raw is not None else json.dumps(content if content is not None else {}).encode()
        )
        headers = dict(headers or {})
        length = headers.pop("Content-Length", str(len(data)))
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": length,
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
            if int(length) != len(data):
                self.close_connection = True

    def _may_write(self) -> bool:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.hub.tokens:
            self._answer(
                401,
                {"error": "Invalid username or password."},
                {"X-Error-Message": "Invalid credentials in Authorization header"},
            )
            return False
        if not self.hub.tokens[token]:
            self._answer(403, {"error": "Forbidden: you must use a write token."})
            return False
        return True

    def _repository(self, name: str) -> Repository | None:
        repo = self.hub.repositories.get(name)
        if repo is None or (repo.private and "Authorization" not in self.headers):
            self._answer(
                401 if repo is None and "Authorization" not in self.headers else 404,
                {},
                {"X-Error-Code": "RepoNotFound"},
            )
            return None
        return repo

    def create(self) -> None:
        asked = json.loads(self.body)
        if not self._may_write():
            return
        name = (
            f"{asked['organization']}/{asked['name']}"
            if asked.get("organization")
            else asked["name"]
        )
        status = 409 if name in self.hub.repositories else 200
        repo = self.hub.repositories.setdefault(
            name,
            Repository(private=bool(asked.get("private") or asked.get("visibility") == "private")),
        )
        assert repo.commits
        self._answer(status, {"url": f"{self.hub.url}/{name}", "name": name, "id": "1"})

    def validate(self) -> None:
        content = json.loads(self.body)["content"]
        metadata = yaml.safe_load(content.split("---")[1])
        errors = (
            []
            if re.fullmatch(r"[a-z0-9.+-]+", metadata.get("license", ""))
            else [{"message": '"license" must be a known identifier'}]
        )
        self._answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, name: str, revision: str) -> None:
        repo = self._repository(name)
        if repo is None or not self._may_write():
            return

        def large(path):
            return path.endswith(".safetensors")

        files = [
            {
                "path": f["path"],
                "uploadMode": "lfs" if large(f["path"]) else "regular",
                "shouldIgnore": False,
            }
            for f in json.loads(self.body)["files"]
        ]
        self._answer(200, {"files": files})

    def batch(self, name: str) -> None:
        if not self._may_write():
            return
        objects = []
        for item in json.loads(self.body)["objects"]:
            upload = (
                {}
                if item["oid"] in self.hub.blobs
                else {"actions": {"upload": {"href": f"{self.hub.url}/blobs/{item['oid']}"}}}
            )
            objects.append({"oid": item["oid"], "size": item["size"], **upload})
        self._answer(200, {"transfer": "basic", "objects": objects})

    def put_blob(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            self._answer(400, {"error": "wrong content"})
            return
        self.hub.blobs[oid] = self.body
        self._answer(200)

    def commit(self, name: str, revision: str) -> None:
        repo = self._repository(name)
        if repo is None or not self._may_write():
            return
        files = dict(repo.commits[repo.branches[revision]])
        message = ""
        for line in self.body.splitlines():
            entry = json.loads(line)
            kind, value = entry["key"], entry["value"]
            if kind == "header":
                message = value["summary"]
            elif kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif kind == "deletedFile":
                del files[value["path"]]
        oid = repo.commit(revision, files, message)
        self._answer(
            200,
            {
                "commitUrl": f"{self.hub.url}/{name}/commit/{oid}",
                "commitOid": oid,
                "hookOutput": "",
            },
        )

    def info(self, name: str, revision: str = "main") -> None:
        repo = self._repository(name)
        if repo is None:
            return
        oid = repo.resolve(revision)
        if oid is None:
            self._answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [{"rfilename": path} for path in repo.commits[oid]]
        self._answer(
            200,
            {
                "id": name,
                "modelId": name,
                "sha": oid,
                "private": repo.private,
                "siblings": siblings,
                "tags": [],
            },
        )

    def tree(self, name: str, revision: str) -> None:
        repo = self._repository(name)
        if repo is None:
            return
        oid = repo.resolve(revision)
        if oid is None:
            self._answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
            return
        rows = [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in repo.commits[oid].items()
        ]
        self._answer(200, rows)

    def refs(self, name: str) -> None:
        if (repo := self._repository(name)) is not None:
            rows = {
                kind: [
                    {"name": key, "ref": f"refs/{folder}/{key}", "targetCommit": oid}
                    for key, oid in table.items()
                ]
                for kind, folder, table in (
                    ("branches", "heads", repo.branches),
                    ("tags", "tags", repo.tags),
                )
            }
            self._answer(200, {**rows, "converts": []})

    def branch(self, name: str, branch: str) -> None:
        repo = self._repository(name)
        if repo is None or not self._may_write():
            return
        status = 409 if branch in repo.branches else 200
        repo.branches.setdefault(branch, repo.branches["main"])
        self._answer(status)

    def tag(self, name: str, revision: str) -> None:
        repo = self._repository(name)
        if repo is None or not self._may_write():
            return
        asked = json.loads(self.body)
        oid = repo.resolve(revision)
        if asked["tag"] in repo.tags or oid is None:
            self._answer(409, {"error": "Tag exists"})
            return
        repo.tags[asked["tag"]] = oid
        self._answer(200)

    def resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._repository(name)
        if repo is None:
            return
        oid = repo.resolve(revision)
        if oid is None:
            self._answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
            return
        data = repo.commits[oid].get(path)
        if data is None:
            self._answer(404, {}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": oid})
            return
        headers = {
            "X-Repo-Commit": oid,
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "Accept-Ranges": "bytes",
            "Content-Length": str(len(data)),
        }
        sent = self.hub.damage[path](data) if path in self.hub.damage else data
        self._answer(200, None, headers, raw=sent)


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES = [
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/validate-yaml", _Handler.validate),
    (rf"POST /api/models/{_NAME}/preupload/(.+)", _Handler.preupload),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /blobs/(\w+)", _Handler.put_blob),
    (rf"POST /api/models/{_NAME}/commit/(.+)", _Handler.commit),
    (rf"POST /api/models/{_NAME}/branch/(.+)", _Handler.branch),
    (rf"POST /api/models/{_NAME}/tag/(.+)", _Handler.tag),
    (rf"GET /api/models/{_NAME}/refs", _Handler.refs),
    (rf"GET /api/models/{_NAME}/tree/(.+)", _Handler.tree),
    (rf"GET /api/models/{_NAME}/revision/(.+)", _Handler.info),
    (rf"GET /api/models/{_NAME}", _Handler.info),
    (rf"(?:HEAD|GET) /{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
]
