"""Who may ask: whoever can read the token in the state folder."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from twin_pipelines.settings import TwinError, TwinSettings

TOKEN_FILE = "token"  # noqa: S105 - the name of the file
LOCAL_NAMES = ("127.0.0.1", "localhost")


def bearer_token(settings: TwinSettings) -> str:
    """The server's token, made at the first call; its file is readable by its owner only.

    Raises TwinError when the file is empty or others can read it.
    """
    path = token_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        handle, scratch = tempfile.mkstemp(dir=path.parent)  # for its owner only
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32))
        with suppress(FileExistsError):  # another process was first
            os.link(scratch, path)
        Path(scratch).unlink()
    if path.stat().st_mode & 0o077:
        raise TwinError(f"Others can read the token in {path}; delete it, and a new one is made.")
    token = path.read_text().strip()
    if not token:
        raise TwinError(f"The token in {path} is empty; delete it, and a new one is made.")
    return token


def token_file(settings: TwinSettings) -> Path:
    """Where the token lies."""
    return settings.serving_dir / TOKEN_FILE


def same_token(given: str, token: str) -> bool:
    """Whether they are equal, in a time that tells nothing."""
    return secrets.compare_digest(given.encode(), token.encode())
