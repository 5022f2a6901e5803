"""Alerts reach the owner: once, joined, again after a failure, and without a secret in them."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.automation import alerts_store
from twin_pipelines.automation.alerts import LONGEST, SHOWN, deliver, harmless, settle
from twin_pipelines.automation.channels import PASSWORD, WEBHOOK
from twin_pipelines.foundation.alerts_store import clear_alert, open_alerts, raise_alert
from twin_pipelines.settings import Alerts, TwinError

AT_ONCE = Alerts(minutes_between=0)


@dataclass
class Hook:
    """A webhook that answers as it is told, and keeps what it was sent."""

    address: str = ""
    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {WEBHOOK: self.address}


@pytest.fixture
def hook() -> Iterator[Hook]:
    kept = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if kept.status == 200:
                kept.got.append(json.loads(body))
            self.send_response(kept.status)
            self.send_header("Location", kept.address.replace("hook", "elsewhere"))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kept.address = f"http://127.0.0.1:{server.server_port}/hook/T0KEN"
    yield kept
    server.shutdown()
    server.server_close()


def retry_now(connection: psycopg.Connection) -> None:
    connection.execute("update alert_deliveries set next_at = now()")
    connection.commit()


def test_an_alert_is_told_once_and_that_it_was_cleared_once(
    connection: psycopg.Connection, hook: Hook
) -> None:
    raise_alert(connection, "disk_low:state_folder", "Make room.")
    for _ in range(3):
        deliver(connection, AT_ONCE, hook.environment)
    (told,) = hook.got
    assert "Make room." in told["text"]
    assert [(one["kind"], one["state"]) for one in told["alerts"]] == [
        ("disk_low:state_folder", "open")
    ]
    clear_alert(connection, "disk_low:state_folder")
    for _ in range(3):
        deliver(connection, AT_ONCE, hook.environment)
    assert [one["alerts"][0]["state"] for one in hook.got] == ["open", "cleared"]


def test_what_did_not_arrive_is_told_again_later_and_not_at_once(
    connection: psycopg.Connection, hook: Hook
) -> None:
    raise_alert(connection, "run_failed:remember", "A run failed.")
    hook.status = 503
    (said,) = deliver(connection, AT_ONCE, hook.environment)
    assert "503" in said and "T0KEN" not in said
    hook.status = 200
    assert deliver(connection, AT_ONCE, hook.environment) == [], "its time has not come"
    assert alerts_store.undelivered(connection) == [("webhook", said, 1)]
    waits = "select round(extract(epoch from next_at - clock_timestamp())) from alert_deliveries"
    assert connection.execute(waits).fetchone() == (60,)
    retry_now(connection)
    deliver(connection, AT_ONCE, hook.environment)
    assert len(hook.got) == 1
    assert alerts_store.undelivered(connection) == []


def test_each_failure_doubles_the_wait_up_to_an_hour(
    connection: psycopg.Connection, hook: Hook
) -> None:
    raise_alert(connection, "run_failed:remember", "A run failed.")
    hook.status = 500
    waits = []
    for _ in range(9):
        retry_now(connection)
        deliver(connection, AT_ONCE, hook.environment)
        row = connection.execute(
            "select round(extract(epoch from next_at - clock_timestamp()) / 60) "
            "from alert_deliveries"
        ).fetchone()
        waits.append(int(row[0]) if row else None)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_many_alerts_are_one_message_and_the_next_waits_its_minutes(
    connection: psycopg.Connection, hook: Hook
) -> None:
    settings = Alerts(minutes_between=5)
    for number in range(SHOWN + 5):
        raise_alert(connection, f"check_failed:asset.check_{number}", "A check fails.")
    deliver(connection, settings, hook.environment)
    raise_alert(connection, "disk_low:state_folder", "Make room.")
    assert deliver(connection, settings, hook.environment) == []
    (told,) = hook.got
    assert len(told["alerts"]) == SHOWN + 5
    assert "and 5 more" in told["text"]
    connection.execute("update alert_deliveries set delivered_at = delivered_at - interval '6 min'")
    deliver(connection, settings, hook.environment)
    assert len(hook.got) == 2, "what came meanwhile is told once its time has come"


def test_what_comes_and_goes_within_the_hour_is_told_once(
    connection: psycopg.Connection, hook: Hook
) -> None:
    for _ in range(4):
        settle(connection, "feed_behind", {"twin_a": "The source twin_a is not read."})
        deliver(connection, AT_ONCE, hook.environment)
        settle(connection, "feed_behind", {})
        deliver(connection, AT_ONCE, hook.environment)
    states = [alert["state"] for one in hook.got for alert in one["alerts"]]
    assert states == ["open", "cleared"]


def test_what_was_cleared_before_it_was_told_is_not_told(
    connection: psycopg.Connection, hook: Hook
) -> None:
    raise_alert(connection, "run_failed:remember", "A run failed.")
    hook.status = 500
    deliver(connection, AT_ONCE, hook.environment)
    clear_alert(connection, "run_failed:remember")
    hook.status = 200
    retry_now(connection)
    assert deliver(connection, AT_ONCE, hook.environment) == []
    assert hook.got == []


def test_an_alert_is_not_sent_to_where_the_webhook_points_on(
    connection: psycopg.Connection, hook: Hook
) -> None:
    raise_alert(connection, "run_failed:remember", "A run failed.")
    hook.status = 307
    (said,) = deliver(connection, AT_ONCE, hook.environment)
    assert "status 307" in said


def test_a_dead_webhook_does_not_keep_the_mail(
    connection: psycopg.Connection, post_office: PostOffice
) -> None:
    raise_alert(connection, "run_failed:remember", "รัน A run failed.")
    environment = {WEBHOOK: "http://127.0.0.1:9/T0KEN", PASSWORD: "s3cret"}
    said = deliver(connection, post_office.settings, environment)
    assert "cannot be reached (ConnectionRefusedError)" in said[0] and "T0KEN" not in said[0]
    assert said[1] == "email: 1 told."
    (mail,) = post_office.got
    assert "To: ann@example.org" in mail and "From: twin@example.org" in mail
    assert "s3cret" not in mail


def test_a_mail_server_that_refuses_is_told_of_without_the_address(
    connection: psycopg.Connection, post_office: PostOffice
) -> None:
    raise_alert(connection, "run_failed:remember", "A run failed.")
    post_office.refuses = True
    (said,) = deliver(connection, post_office.settings, {})
    assert "did not take the message" in said
    assert "ann@" not in said


def test_two_processes_do_not_tell_the_same_twice(
    connection: psycopg.Connection, database_url: str, hook: Hook
) -> None:
    raise_alert(connection, "run_failed:remember", "A run failed.")
    alerts_store.queue(connection, ["webhook"])
    connection.commit()
    assert len(alerts_store.due(connection, "webhook", 0)) == 1, "and holds it"
    with psycopg.connect(database_url) as other:
        assert deliver(other, AT_ONCE, hook.environment) == []
    assert hook.got == []


def test_an_address_that_is_none_is_told_without_quoting_it(connection: psycopg.Connection) -> None:
    with pytest.raises(TwinError, match="is no http address") as refused:
        deliver(connection, AT_ONCE, {WEBHOOK: "file:///etc/passwd"})
    assert "passwd" not in str(refused.value)


def test_without_a_channel_alerts_stay_here(connection: psycopg.Connection) -> None:
    raise_alert(connection, "run_failed:remember", "A run failed.")
    assert deliver(connection, AT_ONCE, {}) == []
    assert len(open_alerts(connection)) == 1


def test_settling_a_topic_leaves_others_and_keeps_since_when(
    connection: psycopg.Connection,
) -> None:
    settle(connection, "run_failed", {"remember": "One failed.", "daily_refresh": "Two failed."})
    settle(connection, "disk_low", {"state_folder": "Make room."})
    connection.commit()
    before = {one.kind: one.raised_at for one in open_alerts(connection)}
    settle(connection, "run_failed", {"remember": "Three failed."})
    now = {one.kind: one for one in open_alerts(connection)}
    assert set(now) == {"run_failed:remember", "disk_low:state_folder"}
    assert now["run_failed:remember"].words == "Three failed."
    assert now["run_failed:remember"].raised_at == before["run_failed:remember"]


@pytest.mark.parametrize(
    ("words", "secret"),
    [
        ("cannot reach postgresql://ann:hunter2@db.example/x", "hunter2"),
        ("the hook https://hooks.example/a?token=abc123 failed", "abc123"),
        ("sent to ann.lee+x@example.co.th in vain", "ann.lee"),
        ("api_key: sk-12345 was refused", "sk-12345"),
        ("PASSWORD=โหลสอง1234", "โหลสอง1234"),
    ],
)
def test_no_secret_leaves_the_machine(words: str, secret: str) -> None:
    assert secret not in harmless(words)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=500))
def test_words_outside_are_one_short_line(words: str) -> None:
    line = harmless(words)
    assert len(line) <= LONGEST
    assert len(line.splitlines()) <= 1


@dataclass
class PostOffice:
    """An SMTP server that keeps what it was sent."""

    port: int = 0
    refuses: bool = False
    got: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Alerts:
        return Alerts(
            minutes_between=0,
            email_to=("ann@example.org",),
            email_from="twin@example.org",
            smtp_host="127.0.0.1",
            smtp_port=self.port,
            smtp_security="none",
        )


@pytest.fixture
def post_office() -> Iterator[PostOffice]:
    kept = PostOffice()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 here")
            while line := self.line().strip().upper():
                if line == "DATA":
                    self.say("354 go on")
                    kept.got.append("".join(iter(self.line, ".\r\n")))
                    self.say("250 kept")
                elif line.startswith("RCPT") and kept.refuses:
                    self.say("550 nobody ann@example.org here")
                else:
                    self.say("221 bye" if line == "QUIT" else "250 ok")

        def line(self) -> str:
            return self.rfile.readline().decode()

        def say(self, words: str) -> None:
            self.wfile.write(f"{words}\r\n".encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kept.port = server.server_address[1]
    yield kept
    server.shutdown()
    server.server_close()
