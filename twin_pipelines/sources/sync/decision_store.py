"""The SQL of a sync's schema on one side: what is remembered there, and the trigger that decides.

Versions of a row are ordered by update time, then origin, then content. A local write is given a
later time than what it replaces (by a microsecond, where the application's own is not later), and
of what comes from the other side only the later version is taken: both sides end with the latest.
A deletion wins over a change that it did not know; a row that was inserted again after its deletion
was known says so beforehand (`revived`), on its way to the other side.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from twin_pipelines.settings import SyncTable
from twin_pipelines.sources.sync.pair import Side
from twin_pipelines.sources.sync.table_store import Table

_SCHEMA = """
create schema if not exists {schema};
create table if not exists {schema}.conflicts (
    conflict_id bigint generated always as identity primary key,
    table_name  text not null,
    key         text not null,
    kind        text not null,
    lost        jsonb not null,
    lost_at     timestamptz,
    kept_at     timestamptz,
    seen_at     timestamptz not null default clock_timestamp()
);
create table if not exists {schema}.deletions (
    side       text not null,
    table_name text not null,
    key        text[] not null,
    updated_at timestamptz,
    deleted_at timestamptz not null,
    revived    boolean not null default false
);
create index if not exists deletions_key on {schema}.deletions (table_name, key, deleted_at);
"""

_DECIDE = """
create or replace function {function}() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO'
as $decide$
declare
    standing {table}%rowtype;
    gone {schema}.deletions%rowtype;
    later boolean;
begin
    if current_setting('session_replication_role') <> 'replica' then
        if tg_op = 'DELETE' then
            insert into {schema}.deletions (side, table_name, key, updated_at, deleted_at)
            values ({side}, {name}, {old_parts}, old.{updated_at},
                    greatest(clock_timestamp(), old.{updated_at}));
            return old;
        elsif tg_op = 'UPDATE' then
            new.{updated_at} := greatest(new.{updated_at},
                                         old.{updated_at} + interval '1 microsecond');
        else
            select * into gone from {schema}.deletions
            where table_name = {name} and key = {new_parts} order by deleted_at desc limit 1;
            new.{updated_at} := greatest(new.{updated_at},
                                         gone.deleted_at + interval '1 microsecond');
            if not gone.revived then
                insert into {schema}.deletions (side, table_name, key, deleted_at, revived)
                values ({side}, {name}, {new_parts}, new.{updated_at}, true);
            end if;
        end if;
        new.{updated_at} := coalesce(new.{updated_at}, clock_timestamp());
        return new;
    end if;
    if tg_op <> 'DELETE' and pg_trigger_depth() > 1 then
        return new;
    end if;
    if tg_op = 'DELETE' then
        select * into gone from {schema}.deletions
        where table_name = {name} and key = {old_parts} and side <> {side} and not revived
        order by deleted_at desc limit 1;
        if exists (
            select from {schema}.deletions
            where table_name = {name} and key = {old_parts} and side = {side} and revived
              and deleted_at > gone.deleted_at
        ) then
            return null;
        elsif gone.updated_at < old.{updated_at} then
            insert into {schema}.conflicts (table_name, key, kind, lost, lost_at, kept_at)
            values ({name}, {old_key}, 'delete', to_jsonb(old), old.{updated_at}, gone.deleted_at);
        end if;
        return old;
    end if;
    if tg_op = 'INSERT' then
        select * into gone from {schema}.deletions
        where table_name = {name} and key = {new_parts} order by deleted_at desc limit 1;
        if gone.side = {side} and not gone.revived then
            insert into {schema}.conflicts (table_name, key, kind, lost, lost_at, kept_at)
            values ({name}, {new_key}, 'insert', to_jsonb(new), new.{updated_at}, gone.deleted_at);
            return null;
        end if;
        select * into standing from {table} where {same_key} for update;
        if not found then
            return new;
        end if;
    else
        standing := old;
    end if;
    if new.{updated_at} is distinct from standing.{updated_at} then
        later := coalesce(new.{updated_at}, '-infinity')
                 > coalesce(standing.{updated_at}, '-infinity');
    elsif {new_content} = {standing_content} then
        return null;
    else
        later := ({new_origin}, {new_content} collate "C")
                 > ({standing_origin}, {standing_content} collate "C");
    end if;
    if not later then
        insert into {schema}.conflicts (table_name, key, kind, lost, lost_at, kept_at)
        values ({name}, {new_key}, lower(tg_op), to_jsonb(new), new.{updated_at},
                standing.{updated_at});
        return null;
    end if;
    if tg_op = 'INSERT' then
        update {table} set {taken} where {same_key};
        return null;
    end if;
    return new;
end
$decide$;
create trigger {trigger} before insert or update or delete on {table}
    for each row execute function {function}();
alter table {table} enable always trigger {trigger};
"""

# Replication itself looks for the row to delete by a scan that can miss one which is being updated
# at that instant, and then leaves it. An ordinary statement waits for the update.
_DELETE = """
create or replace function {schema}.delete_what_was_deleted() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $delete$
begin
    if new.revived or new.side = {side} then
        return null;
    end if;
    case new.table_name {branches} else null; end case;
    return null;
end
$delete$;
create trigger delete_what_was_deleted after insert on {schema}.deletions
    for each row execute function {schema}.delete_what_was_deleted();
alter table {schema}.deletions enable replica trigger delete_what_was_deleted;
"""
_BRANCH = " when {name} then delete from {table} where {same_key};"


def furnish(side: Side, tables: list[tuple[SyncTable, Table]]) -> None:
    """Make the schema, the triggers and the publications what they should be, all or nothing.

    Raises psycopg's LockNotAvailable when a table stays locked for ten seconds.
    """
    connection = side.connection
    schema = sql.Identifier(side.sync)
    with connection.transaction():
        connection.execute("set local lock_timeout = '10s'; set local client_min_messages = error")
        connection.execute(sql.SQL(_SCHEMA).format(schema=schema))
        _drop_triggers(connection, side.sync)
        for number, (wanted, table) in enumerate(tables):
            connection.execute(_decide(side, number, wanted, table))
        connection.execute(_delete(side, [table for _, table in tables]))
        _publish(side, side.publications[0], [table.identifier for _, table in tables], "")
        deletions = sql.Identifier(side.sync, "deletions")
        _publish(side, side.publications[1], [deletions], " with (publish = 'insert')")


def strip(side: Side) -> int:
    """Remove triggers, publications and the schema; rows that lost are kept: how many there are."""
    connection = side.connection
    with connection.transaction():
        connection.execute("set local lock_timeout = '10s'; set local client_min_messages = error")
        for name in side.publications:
            connection.execute(
                sql.SQL("drop publication if exists {}").format(sql.Identifier(name))
            )
        if not furnished(side):
            return 0
        kept = conflict_count(side)
        _drop_triggers(connection, side.sync)
        what = "table {}.deletions" if kept else "schema {} cascade"
        drop = sql.SQL("drop " + what).format(sql.Identifier(side.sync))
        connection.execute(drop)
    return kept


def furnished(side: Side) -> bool:
    """Whether the sync's schema with its two tables is there."""
    row = side.connection.execute(
        "select to_regclass(%s) is not null and to_regclass(%s) is not null",
        [f"{side.sync}.conflicts", f"{side.sync}.deletions"],
    ).fetchone()
    return row == (True,)


def conflict_count(side: Side) -> int:
    """How many changes lost on this side."""
    row = side.connection.execute(
        sql.SQL("select count(*) from {}").format(sql.Identifier(side.sync, "conflicts"))
    ).fetchone()
    assert row is not None
    return int(row[0])


def triggered_tables(side: Side) -> set[tuple[str, str]]:
    """Schema and name of the tables whose trigger is there and always fires."""
    rows = side.connection.execute(
        """
        select nspname::text, relname::text from pg_trigger
        join pg_proc on pg_proc.oid = tgfoid
        join pg_class on pg_class.oid = tgrelid
        join pg_namespace on pg_namespace.oid = relnamespace
        where pronamespace = to_regnamespace(%s) and tgenabled = 'A'
        """,
        [side.sync],
    ).fetchall()
    return {(schema, name) for schema, name in rows}


def _decide(side: Side, number: int, wanted: SyncTable, table: Table) -> sql.Composed:
    def origin(row: str) -> sql.Composable:
        if not wanted.origin:
            return sql.SQL("''")
        column = sql.Identifier(wanted.origin)
        return sql.SQL("coalesce({}.{}::text, '')").format(sql.SQL(row), column) + sql.SQL(
            ' collate "C"'
        )

    given = [name for name in table.written if name not in table.key]
    columns = sql.SQL(", ").join(map(sql.Identifier, given))
    values = sql.SQL(", ").join(sql.SQL("new.{}").format(sql.Identifier(name)) for name in given)
    same = sql.SQL(" and ").join(
        sql.SQL("{0}.{1} = new.{1}").format(table.identifier, sql.Identifier(name))
        for name in table.key
    )
    return sql.SQL(_DECIDE).format(
        schema=sql.Identifier(side.sync),
        function=sql.Identifier(side.sync, f"decide_{number}"),
        trigger=sql.Identifier(f"zz_{side.sync}"),
        table=table.identifier,
        name=sql.Literal(table.name),
        side=sql.Literal(side.name),
        updated_at=sql.Identifier(wanted.updated_at),
        old_key=table.key_text("old"),
        old_parts=table.key_parts("old"),
        new_parts=table.key_parts("new"),
        new_key=table.key_text("new"),
        new_content=table.content("new"),
        standing_content=table.content("standing"),
        new_origin=origin("new"),
        standing_origin=origin("standing"),
        same_key=same,
        taken=sql.SQL("({}) = row({})").format(columns, values),
    )


def _delete(side: Side, tables: list[Table]) -> sql.Composed:
    branches = [
        sql.SQL(_BRANCH).format(
            name=sql.Literal(table.name),
            table=table.identifier,
            same_key=sql.SQL(" and ").join(
                sql.SQL("{} = new.key[{}]::{}").format(
                    sql.Identifier(column), sql.Literal(place), sql.SQL(table.type_of(column))
                )
                for place, column in enumerate(table.key, start=1)
            ),
        )
        for table in tables
    ]
    return sql.SQL(_DELETE).format(
        schema=sql.Identifier(side.sync),
        side=sql.Literal(side.name),
        branches=sql.SQL("").join(branches),
    )


def _drop_triggers(connection: psycopg.Connection, schema: str) -> None:
    connection.execute(
        """
        do $drop$
        declare
            found regprocedure;
        begin
            for found in select oid from pg_proc where pronamespace = to_regnamespace('{}') loop
                execute format('drop function %s cascade', found);
            end loop;
        end
        $drop$
        """.replace("{}", schema)
    )


def _publish(side: Side, name: str, tables: list[sql.Identifier], options: str) -> None:
    known = side.connection.execute(
        "select true from pg_publication where pubname = %s", [name]
    ).fetchone()
    form = "alter publication {} set table {}" if known else "create publication {} for table {}"
    statement = sql.SQL(form + ("" if known else options))
    side.connection.execute(statement.format(sql.Identifier(name), sql.SQL(", ").join(tables)))
