"""The databases: probing, creating, migrating, and frames in and out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from psycopg import sql

from twin_pipelines.foundation import database, migrations
from twin_pipelines.foundation.database import (
    ServerFacts,
    connect,
    copy_frame,
    fetch_frame,
    migrate,
    open_databases,
    shortfall,
)
from twin_pipelines.foundation.server import EmbeddedServer
from twin_pipelines.settings import Database, TwinError, TwinSettings

GOOD = ServerFacts(160004, "UTF8", "0.8.0", None, "1.6")


@pytest.fixture
def administrator(server: EmbeddedServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.url("postgres"), autocommit=True) as opened:
        yield opened


def given_url(tmp_path: Path, url: str) -> TwinSettings:
    return TwinSettings(home=tmp_path, database=Database(url=url))


# probing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (GOOD, None),
        (ServerFacts(180006, "UTF8", "0.8.6", "0.7.0", "1.6"), None),
        (ServerFacts(150004, "UTF8", "0.8.0", None, "1.6"), "PostgreSQL 15.4 and 16 or newer"),
        (ServerFacts(160000, "SQL_ASCII", "0.8.0", None, "1.6"), "encoding is SQL_ASCII"),
        (
            ServerFacts(160000, "UTF8", None, None, "1.6"),
            "pgvector (0.7 or newer) is not available",
        ),
        (ServerFacts(160000, "UTF8", "0.6.2", None, "1.6"), "pgvector is 0.6.2"),
        (ServerFacts(160000, "UTF8", "0.8.0", "0.5.1", "1.6"), "ALTER EXTENSION vector UPDATE"),
        (ServerFacts(160000, "UTF8", "0.10.0", None, "1.6"), None),
        (ServerFacts(160000, "UTF8", "0.8.0", None, None), "pg_trgm is not available"),
    ],
)
def test_shortfall_names_what_is_missing(facts: ServerFacts, words: str | None) -> None:
    told = shortfall(facts)
    assert told is None if words is None else words in str(told)


def test_shortfall_names_everything_at_once_so_that_one_repair_is_enough() -> None:
    told = shortfall(ServerFacts(140010, "LATIN1", None, None, None))
    assert told is not None
    assert all(word in told for word in ("14.10", "LATIN1", "pgvector", "pg_trgm"))
    assert told.count(" and the extension pg_trgm") == 1


def test_a_given_server_gets_all_three_databases(
    administrator: psycopg.Connection, server: EmbeddedServer, tmp_path: Path
) -> None:
    administrator.execute('create database "given base"')
    try:
        url = server.url("given%20base").replace("postgresql://", "postgres://")
        with open_databases(given_url(tmp_path, url)) as databases:
            assert databases.twin.startswith("postgresql://")
            assert databases.dagster.endswith("/given%20base_dagster")
            for opened in (databases.twin, databases.dagster, databases.mlflow):
                with connect(opened) as connection:
                    assert connection.execute("show timezone").fetchone() == ("UTC",)
        assert not (tmp_path / "postgres").exists()
    finally:
        for suffix in ("", "_dagster", "_mlflow"):
            administrator.execute(f'drop database if exists "given base{suffix}" with (force)')


def test_opening_again_in_one_process_costs_nothing(twin_home: TwinSettings) -> None:
    with open_databases(twin_home) as first:
        pass
    with open_databases(twin_home) as second:
        assert second == first
    assert first in database._READY


def test_many_threads_open_a_new_database_once(twin_home: TwinSettings) -> None:
    seen, failures = [], []

    def use() -> None:
        try:
            with open_databases(twin_home) as databases:
                seen.append(databases)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(set(seen)) == 1


def test_a_database_that_is_not_utf8_is_refused(
    administrator: psycopg.Connection, server: EmbeddedServer, tmp_path: Path
) -> None:
    administrator.execute(
        "create database ascii_base encoding 'SQL_ASCII' locale_provider libc locale 'C' "
        "template template0"
    )
    try:
        with (
            pytest.raises(TwinError, match=r"ascii_base .* its encoding is SQL_ASCII and UTF8"),
            open_databases(given_url(tmp_path, server.url("ascii_base"))),
        ):
            pass
    finally:
        administrator.execute("drop database ascii_base with (force)")


def test_a_database_whose_locale_drops_thai_is_refused(
    administrator: psycopg.Connection, server: EmbeddedServer, tmp_path: Path
) -> None:
    administrator.execute(
        "create database thai_less encoding 'UTF8' locale_provider libc locale 'C' "
        "template template0"
    )
    try:
        with (
            pytest.raises(TwinError, match="knows no Thai letters"),
            open_databases(given_url(tmp_path, server.url("thai_less"))),
        ):
            pass
    finally:
        for suffix in ("", "_dagster", "_mlflow"):
            administrator.execute(f"drop database if exists thai_less{suffix} with (force)")


@pytest.fixture
def limited_url(
    administrator: psycopg.Connection, server: EmbeddedServer, database_url: str
) -> Iterator[str]:
    """URL of a fresh database for a role that may not create databases or extensions."""
    name = database_url.rsplit("/", 1)[1]
    administrator.execute("create role limited login password 'narrow'")
    administrator.execute(f"alter database {name} owner to limited")
    yield f"postgresql://limited:narrow@127.0.0.1:{server.port}/{name}"
    administrator.execute(f"alter database {name} owner to postgres")
    with psycopg.connect(database_url) as own:
        own.execute("drop owned by limited cascade")
    administrator.execute("drop role limited")


def test_a_user_who_may_not_create_databases_is_told_which_two(
    limited_url: str, tmp_path: Path
) -> None:
    name = limited_url.rsplit("/", 1)[1]
    with (
        pytest.raises(TwinError, match=f"limited .* create {name}_dagster and {name}_mlflow"),
        open_databases(given_url(tmp_path, limited_url)),
    ):
        pass


def test_a_user_who_may_not_create_extensions_is_told_whom_to_ask(
    limited_url: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "sql", _0001_stats="create extension pg_stat_statements")
    with connect(limited_url) as connection:
        connection.execute("create schema own")
        connection.commit()
        connection.execute("set search_path to own")
        connection.commit()
        with pytest.raises(TwinError, match=r"limited may not apply .* 0001_stats\.sql"):
            migrate(connection, folder)


SECRET = "s3cret-word"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://u:{SECRET}@127.0.0.1:1/base", "127.0.0.1:1 cannot be reached"),
        (f"postgresql://u:{SECRET}@host.invalid/base", "host.invalid:5432 cannot be reached"),
        (f"postgresql://u:{SECRET}@127.0.0.1:99999/base", "URL is not usable"),
        (f"postgresql://u:#{SECRET}@127.0.0.1/base", "URL is not usable"),
        (f"postgresql://u:/{SECRET}@127.0.0.1/base", "URL is not usable"),
        (f"postgresql://u:{SECRET}@127.0.0.1/base?bogus=1", "URL is not usable"),
        (f"postgresql://u:{SECRET}@127.0.0.1", "URL is not usable"),
        (f"mysql://u:{SECRET}@127.0.0.1/base", "URL is not usable"),
        (f"postgresql://u:{SECRET}@[::1/base", "URL is not usable"),
        (SECRET, "URL is not usable"),
    ],
)
def test_a_wrong_url_is_one_sentence_without_the_password(
    url: str, words: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(TwinError, match=words) as caught,
        open_databases(given_url(tmp_path, url)),
    ):
        pass
    chain: BaseException | None = caught.value
    while chain is not None:
        assert SECRET not in str(chain)
        chain = chain.__cause__
    assert "\n" not in str(caught.value)


def test_a_wrong_password_and_a_missing_database_are_told_apart(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    right = server.url("absent")
    with pytest.raises(TwinError, match="has no database absent; create it"):
        connect(right)
    with pytest.raises(TwinError, match="refused the password of postgres") as caught:
        connect(right.replace(server.password, SECRET))
    assert SECRET not in str(caught.value)


# migrations ---------------------------------------------------------------------------------


@pytest.fixture
def empty(server: EmbeddedServer, administrator: psycopg.Connection) -> Iterator[str]:
    administrator.execute("create database blank strategy file_copy")
    yield server.url("blank")
    administrator.execute("drop database blank with (force)")


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name[1:]}.sql").write_text(text)
    return folder


def test_migrations_apply_in_order_once_and_are_recorded(empty: str, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "sql",
        _0002_fill="insert into t values (1); insert into t values ('2')",
        _0001_make="create table t (n int) -- 100 % plain",
    )
    with connect(empty) as connection:
        assert migrate(connection, folder) == ["0001_make.sql", "0002_fill.sql"]
        assert migrate(connection, folder) == []
        write(folder, _0003_more="insert into t values (3)")
        assert migrate(connection, folder) == ["0003_more.sql"]
        recorded = connection.execute(
            "select number, name, length(sha256) from schema_migrations order by number"
        ).fetchall()
        assert connection.execute("select count(*) from t").fetchone() == (3,)
    assert [row[0] for row in recorded] == [1, 2, 3]
    assert recorded[0][1:] == ("0001_make.sql", 64)


def test_a_failing_migration_leaves_the_earlier_ones_and_nothing_of_itself(
    empty: str, tmp_path: Path
) -> None:
    folder = write(
        tmp_path / "sql", _0001_good="create table a (n int)", _0002_bad="create table b (n int); x"
    )
    with connect(empty) as connection:
        with pytest.raises(psycopg.errors.SyntaxError) as caught:
            migrate(connection, folder)
        assert "0002_bad.sql" in caught.value.__notes__[0]
        names = connection.execute(
            "select to_regclass('a') is not null, to_regclass('b') is not null"
        ).fetchone()
        assert names == (True, False)
        write(folder, _0002_bad="create table b (n int)")
        assert migrate(connection, folder) == ["0002_bad.sql"]


def test_an_edited_missing_or_late_migration_is_refused_by_name(empty: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "sql", _0001_a="select 1", _0003_c="select 3")
    with connect(empty) as connection:
        migrate(connection, folder)
        write(folder, _0003_c="select 33")
        with pytest.raises(TwinError, match=r"0003_c\.sql was edited after it was applied"):
            migrate(connection, folder)
        (folder / "0003_c.sql").unlink()
        with pytest.raises(TwinError, match=r"0003_c\.sql was applied .* its file is missing"):
            migrate(connection, folder)
        write(folder, _0003_c="select 3", _0002_b="select 2")
        with pytest.raises(TwinError, match=r"0002_b\.sql comes before number 0003"):
            migrate(connection, folder)


def test_other_line_ends_are_not_an_edit(empty: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "sql", _0001_a="select 1;\nselect 2;\n")
    with connect(empty) as connection:
        migrate(connection, folder)
        (folder / "0001_a.sql").write_bytes(b"select 1;\r\nselect 2;\r\n")
        assert migrate(connection, folder) == []


def test_misnamed_doubled_or_absent_migrations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="No migrations were found"):
        migrations.read_migrations(tmp_path)
    write(tmp_path, _1_short="select 1")
    with pytest.raises(TwinError, match="not named NNNN_name"):
        migrations.read_migrations(tmp_path)
    (tmp_path / "1_short.sql").unlink()
    write(tmp_path, _0001_a="select 1", _0001_b="select 1")
    with pytest.raises(TwinError, match=r"0001_a\.sql and 0001_b\.sql .* share a number"):
        migrations.read_migrations(tmp_path)


def test_migrations_are_found_in_a_checkout_and_in_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "__file__", str(tmp_path / "package" / "foundation" / "x.py"))
    assert migrations.migrations_folder() == tmp_path / "sql"
    (tmp_path / "package" / "sql").mkdir(parents=True)
    assert migrations.migrations_folder() == tmp_path / "package" / "sql"


def test_concurrent_migrators_apply_each_file_once(empty: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "sql", _0001_a="create table t (n int); select pg_sleep(0.1)")
    applied: list[list[str]] = []

    def run() -> None:
        with connect(empty) as connection:
            applied.append(migrate(connection, folder))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [[], [], [], ["0001_a.sql"]]


def test_every_table_and_column_of_the_schema_has_a_comment(
    connection: psycopg.Connection,
) -> None:
    bare = connection.execute(
        """
        select c.relname, a.attname from pg_class c
        join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relkind in ('r', 'p')
          and (col_description(c.oid, a.attnum) is null or obj_description(c.oid) is null)
        """
    ).fetchall()
    assert bare == []


# frames -------------------------------------------------------------------------------------

TEXT = st.text(
    st.one_of(
        st.sampled_from(list("\"',;{}[]()\\\n\r\t .0NULul-กำแมว่🙂é\u200b\ufeff")),
        st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"),
    ),
    max_size=12,
)
INSTANT = st.datetimes(
    datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC), allow_imaginary=False
)
ROW = st.tuples(
    st.none() | TEXT,
    st.none() | st.lists(st.none() | TEXT, max_size=4),
    st.none() | st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=3),
    st.none() | st.uuids().map(str),
    st.none() | INSTANT,
    st.none() | st.dates(),
    st.none() | st.booleans(),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.binary(max_size=6),
    st.none() | st.lists(INSTANT, max_size=2),
)
SCHEMA = {
    "text": pl.String,
    "texts": pl.List(pl.String),
    "numbers": pl.List(pl.Int64),
    "id": pl.String,
    "at": pl.Datetime("us", "UTC"),
    "day": pl.Date,
    "yes": pl.Boolean,
    "share": pl.Float64,
    "bytes": pl.Binary,
    "times": pl.List(pl.Datetime("us", "UTC")),
}
TABLE = (
    'create temp table "round Trip" (text text, texts text[], numbers bigint[], id uuid, '
    "at timestamptz, day date, yes bool, share float8, bytes bytea, times timestamptz[])"
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(ROW, max_size=8))
def test_frames_come_back_as_they_went_in(
    connection: psycopg.Connection, rows: list[tuple[object, ...]]
) -> None:
    connection.execute('drop table if exists "round Trip"')
    connection.execute(TABLE)
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    assert copy_frame(connection, "round Trip", frame) == len(rows)
    assert_frame_equal(fetch_frame(connection, 'select * from "round Trip"'), frame)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(st.none() | TEXT, max_size=8))
def test_a_single_column_keeps_null_and_empty_apart(
    connection: psycopg.Connection, values: list[str | None]
) -> None:
    connection.execute("create temp table if not exists one (v text); truncate one")
    copy_frame(connection, "one", pl.DataFrame({"v": values}, schema={"v": pl.String}))
    assert fetch_frame(connection, "select v from one")["v"].to_list() == values


def test_many_rows_with_line_breaks_survive_parallel_parsing(
    connection: psycopg.Connection,
) -> None:
    pieces = ['a\n"b"', ",\r\n", "\\.", "", "แมว\n\n", '""\n,', "plain"]
    frame = pl.DataFrame({"n": range(120_000)}).with_columns(
        text=pl.lit(pl.Series(pieces)).gather(pl.col("n") * 7919 % len(pieces)),
    )
    connection.execute("create temp table big (n bigint, text text)")
    assert copy_frame(connection, "big", frame) == frame.height
    assert_frame_equal(fetch_frame(connection, "select * from big order by n"), frame)


def test_every_type_is_named_even_when_no_row_comes(connection: psycopg.Connection) -> None:
    query = """
        select 1::int2 a, 1 b, 1::int8 c, 1::float4 d, 1.5 e, now() f, now()::timestamp g,
               now()::time h, interval '1 day' i, '{}'::jsonb j, gen_random_uuid() k,
               '[1,2]'::vector l, '[1,2]'::halfvec m, array[gen_random_uuid()] n, null o
    """
    full = fetch_frame(connection, query)
    assert fetch_frame(connection, f"select * from ({query}) q where false").schema == full.schema
    assert dict(full.schema) == {
        "a": pl.Int16,
        "b": pl.Int32,
        "c": pl.Int64,
        "d": pl.Float32,
        "e": pl.Float64,
        "f": pl.Datetime("us", "UTC"),
        "g": pl.Datetime("us"),
        "h": pl.Time,
        "i": pl.String,
        "j": pl.String,
        "k": pl.String,
        "l": pl.List(pl.Float32),
        "m": pl.List(pl.Float32),
        "n": pl.List(pl.String),
        "o": pl.String,
    }
    assert full["l"].to_list() == [[1.0, 2.0]]


def test_the_schema_casts_and_decodes_json(connection: psycopg.Connection) -> None:
    turns = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
    query = """select '[{"role": "user", "content": "สวัสดี"}]'::jsonb as context, 7::int8 as n,
               '{"a": 1}'::jsonb as raw"""
    schema = {"context": turns, "n": pl.Int8, "raw": pl.String}
    frame = fetch_frame(connection, query, schema=schema)
    assert dict(frame.schema) == schema
    assert frame["context"].to_list() == [[{"role": "user", "content": "สวัสดี"}]]
    none = fetch_frame(connection, f"select * from ({query}) q where false", schema=schema)
    assert none.schema == frame.schema


def test_parameters_reach_the_query_and_percent_signs_without_them_stay(
    connection: psycopg.Connection,
) -> None:
    frame = fetch_frame(
        connection,
        "select %(text)s as text, d from unnest(%(days)s::date[]) d where d = any(%(days)s);",
        {"text": "it's 100 % {แมว}", "days": [date(2018, 4, 10)]},
    )
    assert frame.rows() == [("it's 100 % {แมว}", date(2018, 4, 10))]
    assert fetch_frame(connection, "select 'a' like '%a%' as yes")["yes"].to_list() == [True]
    composed = sql.SQL("select %s::int as {}").format(sql.Identifier("a {b} c"))
    assert fetch_frame(connection, composed, [3]).to_dicts() == [{"a {b} c": 3}]


def test_returning_gives_the_changed_rows_once(connection: psycopg.Connection) -> None:
    connection.execute("create temp table t (n int)")
    inserted = fetch_frame(connection, "insert into t values (1), (2) returning n")
    assert inserted["n"].to_list() == [1, 2]
    assert connection.execute("select count(*) from t").fetchone() == (2,)


def test_what_cannot_be_a_flat_frame_is_an_error(connection: psycopg.Connection) -> None:
    with pytest.raises(ValueError, match="several dimensions"):
        fetch_frame(connection, "select array[[1, 2], [3, 4]] as grid")
    with pytest.raises(ValueError, match="several dimensions"):
        fetch_frame(connection, "select '[0:1]={1,2}'::int[] as shifted")
    with pytest.raises(ValueError, match="two columns one name"):
        fetch_frame(connection, "select 1 as a, 2 as a")
    with pytest.raises(psycopg.errors.UndefinedTable):
        fetch_frame(connection, "select * from nowhere")
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR


def test_lists_and_structs_become_what_the_column_asks_for(
    connection: psycopg.Connection,
) -> None:
    connection.execute(
        "create temp table t (context jsonb, parts jsonb, tags text[], v vector(2), h halfvec(2), "
        "price numeric, moment timestamptz, span interval)"
    )
    frame = pl.DataFrame(
        {
            "context": [[{"role": "user", "content": 'a "b" \\ \n แมว'}], None],
            "parts": [{"length": 1.5, "note": None}, None],
            "tags": [['"', "NULL", "", None], []],
            "v": pl.Series([[1.0, -2.5], None], dtype=pl.Array(pl.Float32, 2)),
            "h": [[0.5, 1e-3], None],
            "price": pl.Series(["1.25", None]).cast(pl.Decimal(10, 2)),
            "moment": [datetime(2020, 1, 1, 7, tzinfo=timezone(timedelta(hours=7))), None],
            "span": [timedelta(days=1, seconds=2), None],
        }
    )
    assert copy_frame(connection, "pg_temp.t", frame) == 2
    row = connection.execute("select * from t").fetchone()
    assert row is not None
    assert row[0] == [{"role": "user", "content": 'a "b" \\ \n แมว'}]
    assert row[1] == {"length": 1.5, "note": None}
    assert row[2] == ['"', "NULL", "", None]
    assert row[3].to_list() == [1.0, -2.5]
    assert row[6] == datetime(2020, 1, 1, tzinfo=UTC)
    assert row[7] == timedelta(days=1, seconds=2)
    back = fetch_frame(connection, "select h, price from t")
    assert back["h"].to_list()[1] is None
    assert back["price"].to_list() == [1.25, None]


def test_a_bad_value_stops_the_copy_and_leaves_no_row(connection: psycopg.Connection) -> None:
    connection.execute("create table t (n int)")
    connection.commit()
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        copy_frame(connection, "t", pl.DataFrame({"n": ["1", "x"]}))
    connection.rollback()
    assert fetch_frame(connection, "select * from t").is_empty()


def test_a_connection_commits_nothing_by_itself(database_url: str) -> None:
    opened = connect(database_url)
    opened.execute("create table t (n int)")
    opened.close()
    with connect(database_url) as again:
        assert again.execute("select to_regclass('t')").fetchone() == (None,)
        assert again.execute("show application_name").fetchone() == ("twin_pipelines",)
