"""Servers that speak the protocols of real backends, in threads or in processes that may be killed.

`python stub_backends.py KIND WORDS SECONDS` runs one: KIND is openai, llama_cpp or ollama, and
SECONDS pass between two words. Each says WORDS words ("w0 w1 …") and what its protocol ends with.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENDLESS = 10_000


@dataclass
class Stub:
    """What a server does next, and what it heard."""

    kind: str
    words: int = 4
    seconds: float = 0.0  # between two words
    silence: float = 0.0  # before the first
    status: int = 200
    dies_after: int | None = None  # words
    error: str = ""  # told in the stream in place of the last word
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    blobs: dict[str, bytes] = field(default_factory=dict)
    left: threading.Event = field(default_factory=threading.Event)  # a client hung up
    url: str = ""


def _openai(stub: Stub, place: int | None) -> str:
    choice: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": None}
    if place is None:
        choice["finish_reason"] = "stop"
    else:
        choice["delta"] = {"content": f"w{place} "}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    text = f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"
    return text + ("data: [DONE]\n\n" if place is None else "")


def _llama_cpp(stub: Stub, place: int | None) -> str:
    told: dict[str, Any] = {"content": "" if place is None else f"w{place} ", "stop": False}
    if place is None:
        told |= {"stop": True, "stop_type": "eos", "tokens_predicted": 4, "tokens_evaluated": 9}
    return f"data: {json.dumps(told)}\n\n"


def _ollama(stub: Stub, place: int | None) -> str:
    said = "" if place is None else f"w{place} "
    told: dict[str, Any] = {"model": "m", "message": {"role": "assistant", "content": said}}
    told["done"] = place is None
    if place is None:
        told |= {"done_reason": "stop", "prompt_eval_count": 9, "eval_count": 4}
    return json.dumps(told) + "\n"


TOLD: dict[str, Callable[[Stub, int | None], str]] = {
    "openai": _openai,
    "llama_cpp": _llama_cpp,
    "ollama": _ollama,
}
ERRORS = {
    "openai": 'data: {{"error": {{"message": "{0}"}}}}\n\n',
    "llama_cpp": 'data: {{"error": {{"code": 500, "message": "{0}"}}}}\n\n',
    "ollama": '{{"error": "{0}"}}\n',
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: Stub

    def do_HEAD(self) -> None:
        """Whether a blob is there."""
        known = self.path.removeprefix("/api/blobs/") in self.stub.blobs
        self._whole(200 if known else 404, "")

    def do_POST(self) -> None:
        """A chat, or Ollama's making of a model."""
        content = self._body()
        if self.path.startswith("/api/blobs/"):
            self.stub.blobs[self.path.removeprefix("/api/blobs/")] = content
            self._whole(201, "")
            return
        body = json.loads(content)
        self.stub.heard.append((self.path, body))
        self.stub.keys.add(self.headers.get("authorization", ""))
        if self.path == "/api/show":
            self._whole(200 if body["model"] in self.stub.models else 404, "{}")
        elif self.path == "/api/create":
            self.stub.models.add(body["model"])
            self._whole(200, '{"status": "reading"}\n{"status": "success"}\n')
        elif self.stub.status != 200:
            self._whole(self.stub.status, '{"error": {"message": "This model\\nwants sugar."}}')
        else:
            self._stream()

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers["content-length"]))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _whole(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def _stream(self) -> None:
        stub = self.stub
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        time.sleep(stub.silence)
        try:
            for place in range(stub.words):
                if stub.dies_after == place:
                    self.close_connection = True
                    return
                self._chunk(TOLD[stub.kind](stub, place))
                time.sleep(stub.seconds)
            if stub.error:
                self._chunk(ERRORS[stub.kind].format(stub.error))
            else:
                self._chunk(TOLD[stub.kind](stub, None))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
            stub.left.set()

    def _chunk(self, text: str) -> None:
        content = text.encode()
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def log_message(self, *given: object) -> None:
        """Say nothing."""


@contextmanager
def stub_backend(kind: str, **does: Any) -> Iterator[Stub]:
    """A server in a thread; what it does may be changed while it runs."""
    stub = Stub(kind, **does)
    handler = type("Handler", (_Handler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}{'/v1' if kind == 'openai' else ''}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def stub_process(kind: str, *, words: int, seconds: float) -> Iterator[tuple[str, Any]]:
    """The address of a server in a process of its own, and the process."""
    command = [sys.executable, __file__, kind, str(words), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        port = process.stdout.readline().strip()
        yield f"http://127.0.0.1:{port}{'/v1' if kind == 'openai' else ''}", process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def main(kind: str, words: str, seconds: str) -> None:
    """Serve until killed; the port is the first line of the output."""
    stub = Stub(kind, words=int(words), seconds=float(seconds))
    handler = type("Handler", (_Handler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
