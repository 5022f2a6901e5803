"""The page on which the owner picks the real reply. It works without scripts and loads nothing.

Which reply is whose stays on this side: the page gets three texts and answers with a place.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psycopg
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader
from starlette.middleware.trustedhost import TrustedHostMiddleware

from twin_pipelines.instruct.preference_store import add_correction
from twin_pipelines.serving import store
from twin_pipelines.serving.access import LOCAL_NAMES, same_token
from twin_pipelines.serving.blind import SOURCES, Item, blind_figures
from twin_pipelines.serving.store import BlindChoice
from twin_pipelines.settings import Evaluation

COOKIE = "twin_blind"
LONGEST_FORM = 64_000  # bytes
LONGEST_CORRECTION = 4_000  # characters
UNSURE = "0"

Connect = Callable[[], AbstractContextManager[psycopg.Connection]]


@dataclass(frozen=True)
class Trial:
    """The items of one evaluation, and which adapter's replies they show."""

    evaluation_id: str
    adapter_id: str
    items: Sequence[Item]


def create_page(trial: Trial, connect: Connect, token: str, settings: Evaluation) -> FastAPI:
    """The application. Its first address carries `?token=`; a cookie takes over from there."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES))
    session = secrets.token_urlsafe(32)
    desk = _Desk(trial, connect, settings)

    def known(request: Request) -> bool:
        return same_token(request.cookies.get(COOKIE, ""), session)

    @app.get("/")
    async def show(request: Request) -> Response:
        given = request.query_params.get("token")
        if given is not None and same_token(given, token):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, session, httponly=True, samesite="strict")
            return answer
        if not known(request):
            return _page("stranger", status=403)
        return await run_in_threadpool(desk.next_page)

    @app.get("/figures")
    async def figures(request: Request) -> Response:
        if not known(request):
            return _page("stranger", status=403)
        return await run_in_threadpool(desk.figures_page)

    @app.post("/choice")
    async def choose(request: Request) -> Response:
        if not known(request):
            return _page("stranger", status=403)
        form = await _form(request)
        if form is None or not await run_in_threadpool(desk.take, form):
            return _page("unusable", status=400)
        return RedirectResponse("/", 303)

    @app.post("/undo")
    async def undo(request: Request) -> Response:
        if not known(request):
            return _page("stranger", status=403)
        await run_in_threadpool(desk.undo)
        return RedirectResponse("/", 303)

    return app


class _Desk:
    """Shows items, takes choices, and remembers since when an item has been shown."""

    def __init__(self, trial: Trial, connect: Connect, settings: Evaluation) -> None:
        self._trial = trial
        self._connect = connect
        self._settings = settings
        self._items = {item.pair_id: item for item in trial.items}
        self._shown_at: dict[str, float] = {}

    def next_page(self) -> Response:
        """The first item that was not judged, or the figures after the last."""
        made = self._choices()
        judged = {choice.pair_id for choice in made}
        item = next((item for item in self._trial.items if item.pair_id not in judged), None)
        if item is None:
            return self.figures_page()
        self._shown_at.setdefault(item.pair_id, time.monotonic())
        return _page(
            "item",
            pair_id=item.pair_id,
            context=item.context,
            replies=[item.texts[source].strip() for source in item.shown],
            done=len(judged & self._items.keys()),
            total=len(self._items),
        )

    def figures_page(self) -> Response:
        """What the choices say so far."""
        made = self._choices()
        figures = blind_figures(made, times=self._settings.bootstrap, seed=self._settings.seed)
        return _page(
            "figures",
            figures=figures,
            sources=SOURCES,
            done=len(made),
            total=len(self._items),
        )

    def take(self, form: dict[str, str]) -> bool:
        """Record a choice and a correction; False when the form fits no item."""
        item = self._items.get(form.get("item", ""))
        place = form.get("place", "")
        correction = form.get("correction", "").strip()
        if item is None or len(correction) > LONGEST_CORRECTION:
            return False
        if place != UNSURE and place not in {"1", "2", "3"}:
            return False
        since = self._shown_at.pop(item.pair_id, None)
        choice = BlindChoice(
            pair_id=item.pair_id,
            shown=item.shown,
            chosen="unsure" if place == UNSURE else item.shown[int(place) - 1],
            seconds=0.0 if since is None else time.monotonic() - since,
        )
        with self._connect() as connection:
            new = store.save_choice(connection, self._trial.evaluation_id, choice)
            if new and correction and correction != item.texts["twin"].strip():
                self._correct(connection, item, correction)
            connection.commit()
        return True

    def undo(self) -> None:
        """Forget the last choice; its item is shown again."""
        with self._connect() as connection:
            store.undo_choice(connection, self._trial.evaluation_id)
            connection.commit()

    def _correct(self, connection: psycopg.Connection, item: Item, correction: str) -> None:
        if not item.texts["twin"].strip():
            return
        add_correction(
            connection,
            prompt=list(item.context),
            rejected=item.texts["twin"],
            chosen=correction,
            made_by="blind page",
            adapter_id=self._trial.adapter_id,
        )

    def _choices(self) -> list[BlindChoice]:
        with self._connect() as connection:
            return store.choices(connection, self._trial.evaluation_id)


def _page(view: str, status: int = 200, **content: Any) -> Response:
    nonce = secrets.token_urlsafe(16)
    loader = FileSystemLoader(Path(__file__).parent)
    template = Environment(loader=loader, autoescape=True).get_template("blind.html.j2")
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    text = template.render(view=view, nonce=nonce, longest=LONGEST_CORRECTION, **content)
    return HTMLResponse(text, status, headers)


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a posted form; None when it is too long or no text."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_FORM:
            return None
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True)
    except ValueError:
        return None
    return {name: values[-1] for name, values in fields.items()}
