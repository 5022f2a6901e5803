"""`twin up`: database, Dagster, MLflow and the twin server, until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil
from rich.console import Console

from twin_pipelines.commands.runs import open_twin
from twin_pipelines.foundation.instance import exports
from twin_pipelines.settings import TwinError, TwinSettings

START_SECONDS = 120
STOP_SECONDS = 15
TWIN = "Twin server"


@dataclass(frozen=True)
class Service:
    """A server process: `ready` is the page that answers once it is up; empty for none."""

    name: str
    command: tuple[str, ...]
    address: str = ""
    ready: str = ""


def up(settings: TwinSettings, console: Console) -> None:
    """Start everything, print the addresses, wait for Ctrl-C or SIGTERM, stop everything.

    Raises TwinError when a service ends by itself or does not answer within two minutes.
    """
    with _stop_signals() as stop, open_twin(settings) as (_, databases):
        services = _services(settings)
        environment = os.environ | exports(settings, databases)
        environment["MLFLOW_BACKEND_STORE_URI"] = environment["MLFLOW_TRACKING_URI"]
        logs = settings.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with _running(services, environment, logs) as processes:
            _wait_until_ready(services, processes, logs, stop)
            if not stop:
                _print_addresses(console, settings, services, logs)
            while not stop:
                _raise_if_ended(services, processes, logs)
                time.sleep(0.3)
        console.print("Stopped.")


def _services(settings: TwinSettings) -> list[Service]:
    web, mlflow = _free_port(3000), _free_port(5000)
    twin = _free_port(settings.serving.port or 8765)
    module = ("-m", "twin_pipelines.definitions")
    return [
        Service(
            "Dagster web UI",
            (_script("dagster-webserver"), *module, "-h", "127.0.0.1", "-p", str(web)),
            f"http://127.0.0.1:{web}",
            "/server_info",
        ),
        Service("Dagster daemon", (_script("dagster-daemon"), "run", *module)),
        Service(
            "MLflow",
            (
                *(_script("mlflow"), "server", "--host", "127.0.0.1", "--port", str(mlflow)),
                *("--workers", "1", "--serve-artifacts"),
                *("--artifacts-destination", settings.artifacts_dir.as_uri()),
            ),
            f"http://127.0.0.1:{mlflow}",
            "/health",
        ),
        Service(
            TWIN,
            (sys.executable, "-m", "twin_pipelines.cli", "serve", "--port", str(twin)),
            f"http://127.0.0.1:{twin}",
            "/health",
        ),
    ]


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _free_port(wanted: int) -> int:
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise TwinError(f"No free port between {wanted} and {wanted + 99}; stop what holds them.")


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that becomes non-empty when the process is asked to stop."""
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _running(
    services: list[Service], environment: Mapping[str, str], logs: Path
) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for service in services:
            with _log_file(logs, service).open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        service.command,
                        env=dict(environment),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        yield processes
    finally:
        stop_trees(processes)


def stop_trees(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the processes and all they started: asked first, killed after a while."""
    tree: list[psutil.Process] = []
    for process in processes:
        try:
            root = psutil.Process(process.pid)
            tree += [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    for member in tree:
        _signal(member, signal.SIGTERM)
    _, alive = psutil.wait_procs(tree, timeout=STOP_SECONDS)
    for member in alive:
        _signal(member, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=STOP_SECONDS)
    for process in processes:
        process.wait()


def _signal(member: psutil.Process, number: int) -> None:
    try:
        member.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _wait_until_ready(
    services: list[Service],
    processes: list[subprocess.Popen[bytes]],
    logs: Path,
    stop: list[int],
) -> None:
    deadline = time.monotonic() + START_SECONDS
    waiting = [service for service in services if service.ready]
    while waiting and not stop:
        _raise_if_ended(services, processes, logs)
        waiting = [service for service in waiting if not _answers(service)]
        if time.monotonic() > deadline:
            names = ", ".join(service.name for service in waiting)
            raise TwinError(f"{names} did not answer within {START_SECONDS} s; see {logs}.")
        time.sleep(0.2)


def _answers(service: Service) -> bool:
    try:
        with urllib.request.urlopen(service.address + service.ready, timeout=2) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _raise_if_ended(
    services: list[Service], processes: list[subprocess.Popen[bytes]], logs: Path
) -> None:
    for service, process in zip(services, processes, strict=True):
        if process.poll() is not None:
            raise TwinError(
                f"{service.name} ended with exit code {process.returncode}; "
                f"the reason stands at the end of {_log_file(logs, service)}."
            )


def _log_file(logs: Path, service: Service) -> Path:
    return logs / f"{service.name.lower().replace(' ', '-')}.log"


def _page(console: Console, settings: TwinSettings, service: Service) -> str:
    """The service's address; of the chat page with the token, where no file records it."""
    from twin_pipelines.serving.access import bearer_token
    from twin_pipelines.serving.page.routes import address

    if service.name != TWIN or not console.is_terminal:
        return service.address
    return address(service.address, bearer_token(settings))


def _print_addresses(
    console: Console, settings: TwinSettings, services: list[Service], logs: Path
) -> None:
    for service in services:
        if service.address:
            where = _page(console, settings, service)
            console.print(f"[bold]{service.name:<16}[/bold] {where}", soft_wrap=True)
    place = "the URL in your settings" if settings.database.url else "embedded"
    console.print(f"[bold]{'PostgreSQL':<16}[/bold] {place} (`twin env` prints its address)")
    console.print(f"[dim]Logs in {logs}. Ctrl-C stops everything.[/dim]")
