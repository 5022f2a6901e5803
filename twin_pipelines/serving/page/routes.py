"""Hands out the chat page. The token stays in the address's fragment, which no server is sent."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from twin_pipelines.serving.refusals import Refusal

FIRST = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def address(base: str, token: str) -> str:
    """Where the owner opens the page of the server at `base`, such as http://127.0.0.1:8765."""
    return f"{base}/#token={token}"


def page_routes() -> APIRouter:
    """`/` and the files it is made of; none of them is secret, so none asks for the token."""
    routes = APIRouter()
    files = {
        path.name: Response(path.read_bytes(), headers=HEADERS, media_type=MEDIA_TYPES[path.suffix])
        for path in Path(__file__).parent.iterdir()
        if path.suffix in MEDIA_TYPES
    }

    @routes.get("/")
    def page() -> Response:
        return files[FIRST]

    @routes.get("/page/{name}")
    def file(name: str) -> Response:
        if name not in files:
            raise Refusal(404, f"The page has no file {name!r}.", "not_found")
        return files[name]

    return routes
