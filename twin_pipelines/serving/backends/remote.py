"""Another server over HTTP: asked line by line, given up by closing, its failures in a sentence."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from twin_pipelines.serving.backends.protocol import BackendError

if TYPE_CHECKING:
    import httpx

KEY = "TWIN_BACKEND_API_KEY"
CONNECT_SECONDS = 5.0
LONGEST_REASON = 200  # characters of what another server says about its refusal


class Remote:
    """One server, over connections that are kept open. Used from one event loop only."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def lines(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[AsyncGenerator[str, None], None]:
        """The lines of what a POST is answered with, while they come; empty ones are left out.

        Raises BackendError when nothing answers, for a refusal, and when it breaks off.
        """
        import httpx

        try:
            async with self.client.stream("POST", path, json=dict(body)) as response:
                await self.check(response)
                yield _full_lines(response)
        except httpx.ConnectError as error:
            words = f"nothing answers at {self.url}; start it, or correct its url"
            raise BackendError(words) from error
        except httpx.HTTPError as error:
            raise BackendError(f"{self.url} broke the connection off ({_kind(error)})") from error

    @property
    def client(self) -> httpx.AsyncClient:
        """The client, made at the first call: without proxies, which a local server has none of."""
        if self._client is None:
            import httpx

            timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
            self._client = httpx.AsyncClient(
                base_url=self.url, timeout=timeout, headers=_headers(), trust_env=False
            )
        return self._client

    async def check(self, response: httpx.Response) -> None:
        """Raises BackendError with the server's own words when it refused."""
        if response.is_success:
            return
        await response.aread()
        if response.status_code in (401, 403):  # its reason may quote the key
            raise BackendError(f"{self.url} refused the key ({response.status_code}); set {KEY}")
        said = f" ({reason})" if (reason := _reason(response)) else ""
        raise BackendError(f"{self.url} answered with status {response.status_code}{said}")

    async def close(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.aclose()
            self._client = None


async def _full_lines(response: httpx.Response) -> AsyncGenerator[str, None]:
    async for line in response.aiter_lines():
        if line:
            yield line


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY)
    return {"authorization": f"Bearer {key}"} if key else {}


def _reason(response: httpx.Response) -> str:
    """What the server says about its refusal, on one line; empty when it says nothing."""
    try:
        told = response.json()
    except ValueError:
        return ""
    said = told.get("error") if isinstance(told, dict) else ""
    words = said.get("message") if isinstance(said, dict) else said
    return " ".join(str(words or "").split())[:LONGEST_REASON].rstrip(".")


def _kind(error: Exception) -> str:
    return " ".join(str(error).split())[:LONGEST_REASON].rstrip(".") or type(error).__name__
