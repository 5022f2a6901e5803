"""A real HTTP server on this machine that answers like an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REFUSAL = {"error": {"message": "This model\nwants sugar."}}
Answer = Callable[[dict[str, Any], int], "str | int"]


@dataclass
class Heard:
    """What was asked: bodies in the order of arrival, and the keys that came with them."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)


@contextmanager
def chat_endpoint(answer: Answer) -> Iterator[tuple[str, Heard]]:
    """Yields the address and what it hears.

    `answer` gets the body and the number of requests before it, and returns the text to answer, or
    a status code.
    """
    heard, guard = Heard(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with guard:
                number = len(heard.bodies)
                heard.bodies.append(body)
                heard.keys.add(self.headers.get("authorization", ""))
                heard.paths.add(self.path)
            said = answer(body, number)
            status = said if isinstance(said, int) else 200
            content = json.dumps(_completion(said) if isinstance(said, str) else REFUSAL).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.send_header("retry-after-ms", "10")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *given: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", heard
    finally:
        server.shutdown()
        server.server_close()


def _completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
