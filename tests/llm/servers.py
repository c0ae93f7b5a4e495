"""Servers on the loopback address: an OpenAI-compatible endpoint and a web site, with all their faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


def completion(content: Any, *, prompt: int = 100, answer: int = 10) -> Reply:
    """An answer in the layout of chat completions; anything but a text is written as JSON."""
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": answer,
            "total_tokens": prompt + answer,
        },
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def failure(status: int, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": "not now", "type": "server_error"}}).encode()
    return status, {"Content-Type": "application/json", **headers}, body


class Site:
    """What a server has been asked, and where it is."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.running = self.most_running = 0


@contextmanager
def serving(answer: Callable[[Any, int], Reply | None]) -> Iterator[Site]:
    """Serves ``answer(request, number)``; a request is a path (GET) or a JSON body (POST).

    None sends nothing and closes the connection.
    """
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self, request: Any) -> None:
            with lock:
                number = len(site.requests)
                site.requests.append(request)
                site.headers.append({key.lower(): value for key, value in self.headers.items()})
                site.running += 1
                site.most_running = max(site.most_running, site.running)
            try:
                reply = answer(request, number)
            finally:
                with lock:
                    site.running -= 1
            if reply is None:
                self.close_connection = True
                return
            status, headers, body = reply
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # the client has given up
                self.close_connection = True

        def do_GET(self) -> None:
            self._serve(self.path)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            self._serve(json.loads(self.rfile.read(length)))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = Site(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


def slowly(reply: Reply, seconds: float) -> Reply:
    time.sleep(seconds)
    return reply
