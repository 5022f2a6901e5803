"""The ways an alert leaves the machine: a webhook and e-mail. Keys come from the environment only.

Errors name neither address nor key.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from http.client import HTTPException
from typing import Any

from twin_pipelines.settings import Alerts, TwinError

WEBHOOK, PASSWORD = "TWIN_ALERT_WEBHOOK", "TWIN_ALERT_SMTP_PASSWORD"
TIMEOUT_SECONDS = 10.0


class UndeliveredError(TwinError):
    """A message did not arrive; its text says why, and may be shown."""


Send = Callable[[str, str, list[dict[str, Any]]], None]  # subject, text, the same as data


def channels(settings: Alerts, environment: Mapping[str, str]) -> dict[str, Send]:
    """The channels that are set up, by name. Raises TwinError when an address cannot be meant."""
    found: dict[str, Send] = {}
    if address := environment.get(WEBHOOK, ""):
        if not address.startswith(("https://", "http://")):
            raise TwinError(f"{WEBHOOK} is no http address; correct or unset it.")
        found["webhook"] = lambda _, text, data: post(address, {"text": text, "alerts": data})
    if settings.email_to:
        password = environment.get(PASSWORD, "")
        found["email"] = lambda subject, text, _: mail(settings, password, subject, text)
    return found


def post(address: str, body: Mapping[str, Any]) -> None:
    """POST a JSON object; any answer of 2xx will do. Raises UndeliveredError."""
    request = urllib.request.Request(  # noqa: S310
        address,
        data=json.dumps(body, ensure_ascii=False).encode(),
        headers={"Content-Type": "application/json; charset=utf-8"},
        method="POST",
    )
    try:
        with _opener().open(request, timeout=TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise UndeliveredError(
            f"The webhook answered with status {error.code}; correct {WEBHOOK}, or what it names."
        ) from None
    except (OSError, HTTPException, ValueError) as error:
        raise UndeliveredError(
            f"The webhook cannot be reached ({_kind(error)}); correct {WEBHOOK}, or start what it "
            "names."
        ) from None


def mail(settings: Alerts, password: str, subject: str, text: str) -> None:
    """Send one plain message. Raises UndeliveredError."""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = settings.email_from
    message["To"] = ", ".join(settings.email_to)
    message.set_content(text)
    try:
        with _mail_server(settings) as server:
            if settings.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                server.login(settings.smtp_user, password)
            server.send_message(message)
    except smtplib.SMTPAuthenticationError:
        raise UndeliveredError(
            f"The mail server refused the password; correct alerts.smtp_user or {PASSWORD}."
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        raise UndeliveredError(
            f"The mail server did not take the message ({_kind(error)}); correct [alerts] in "
            "twin.toml."
        ) from None


def _mail_server(settings: Alerts) -> smtplib.SMTP:
    where = (settings.smtp_host, settings.smtp_port)
    if settings.smtp_security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(*where, timeout=TIMEOUT_SECONDS, context=context)
    return smtplib.SMTP(*where, timeout=TIMEOUT_SECONDS)


def _opener() -> urllib.request.OpenerDirector:
    """One that does not follow: a message goes to the address it was meant for, or nowhere."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _kind(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, BaseException) else error).__name__
