"""Requests that are turned away, told in the format that OpenAI clients know."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from twin_pipelines.serving.engine import Crowded, NotReady
from twin_pipelines.serving.voice import TooLong
from twin_pipelines.serving.wire import refusal
from twin_pipelines.settings import TwinError

logger = logging.getLogger(__name__)

SERVER_ERROR = "The reply could not be written; the server's log says why."
NO_JSON = "The body cannot be read; send JSON in UTF-8."
CODES = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


class Refusal(Exception):
    """A request that is turned away."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def as_dict(self) -> dict[str, Any]:
        """The body of the response."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return refusal(str(self), kind, self.code)


def as_refusal(error: BaseException) -> Refusal:
    """How a failure of the engine is told; what nobody can mend stays in the log."""
    if isinstance(error, TooLong):
        return Refusal(400, str(error), "context_length_exceeded")
    if isinstance(error, NotReady):
        return Refusal(503, str(error), "not_ready")
    if isinstance(error, Crowded):
        return Refusal(429, str(error), "too_many_requests")
    if not isinstance(error, TwinError):
        logger.error("A request could not be answered.", exc_info=error)
    return Refusal(500, str(error) if isinstance(error, TwinError) else SERVER_ERROR, "failed")


def tell_refusals(app: FastAPI) -> None:
    """Answer every refusal, unusable request, unknown path and wrong method in that format."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _not_served)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse(error.as_dict(), error.status)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][1:]) or 'body'}: {problem['msg']}"
        for problem in error.errors()
    )
    words = f"The request is not usable ({problems})."
    return JSONResponse(refusal(words, "invalid_request_error", "invalid_request"), 400)


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        400: NO_JSON,
        404: f"There is nothing at {request.url.path}; docs/serving.md lists the paths.",
        405: f"{request.method} is not for {request.url.path}; docs/serving.md lists the paths.",
    }.get(error.status_code, error.detail)
    code = CODES.get(error.status_code, "invalid_request")
    told = refusal(words, "invalid_request_error", code)
    return JSONResponse(told, error.status_code, error.headers)
