"""The SQL that tells what a table of a side is like, and what its server allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from twin_pipelines.sources.reconciliation_store import Compared


@dataclass(frozen=True)
class Column:
    """`type` as SQL writes it; `written` is false for what the server makes itself."""

    name: str
    type: LiteralString  # as the server writes it
    written: bool
    position: int | None  # in the primary key, from 1


@dataclass(frozen=True)
class Numbering:
    """The sequence that gives a table its keys."""

    sequence: str
    step: int
    next: int


@dataclass(frozen=True)
class Table:
    """A table of one side. `owned`: the user may act as its owner."""

    name: str
    columns: tuple[Column, ...]
    schema: str
    relation: str
    ordinary: bool
    owned: bool
    owner: str
    numbering: Numbering | None

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.relation)

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key's columns, in its order."""
        found = [(one.position, one.name) for one in self.columns if one.position]
        return tuple(name for _, name in sorted(found))

    @property
    def written(self) -> tuple[str, ...]:
        """Columns that are not generated, by name, so that both sides have them in one order."""
        return tuple(sorted(one.name for one in self.columns if one.written))

    def key_text(self, row: str = "") -> sql.Composed:
        """The key of a row (`new`, `old`, or of the query's own) as text."""
        if len(self.key) == 1:
            return sql.SQL("({})::text").format(_of(row, self.key[0]))
        return self.key_parts(row) + sql.SQL("::text")

    def key_parts(self, row: str = "") -> sql.Composed:
        """The key of a row as an array of texts, in the order of the primary key."""
        parts = (sql.SQL("({})::text").format(_of(row, name)) for name in self.key)
        return sql.SQL("array[{}]").format(sql.SQL(", ").join(parts))

    def type_of(self, column: str) -> LiteralString:
        """The type of a column as SQL writes it."""
        return next(one.type for one in self.columns if one.name == column)

    def content(self, row: str = "") -> sql.Composed:
        """All that is written into a row, as text."""
        return sql.SQL("row({})::text").format(
            sql.SQL(", ").join(_of(row, name) for name in self.written)
        )

    def compared(self, updated_at: str) -> Compared:
        """How the table is compared with the other side's, by the day of the last change."""
        return Compared(
            rows=self.identifier,
            key=self.key_text(),
            day=sql.Identifier(updated_at),
            values=[sql.Identifier(name) for name in self.written],
        )


@dataclass(frozen=True)
class Allowed:
    """What the server and the user of a side can do."""

    version: int
    wal_level: str
    user: str
    database: str
    creates: bool  # schemas and publications in the database
    subscribes: bool
    replicates: bool
    free_slots: int


def allowed(connection: psycopg.Connection) -> Allowed:
    """What the server and the user of a connection can do."""
    with connection.cursor(row_factory=class_row(Allowed)) as cursor:
        found = cursor.execute(
            """
            select current_setting('server_version_num')::int as version,
                   current_setting('wal_level') as wal_level,
                   current_user::text as user, current_database()::text as database,
                   has_database_privilege(current_database(), 'create') as creates,
                   rolsuper or exists (
                       select from pg_roles as given
                       where given.rolname in ('pg_create_subscription', 'neon_superuser')
                         and pg_has_role(current_user, given.oid, 'usage')) as subscribes,
                   rolsuper or rolreplication or exists (
                       select from pg_roles as given
                       where given.rolname in ('rds_replication', 'neon_superuser')
                         and pg_has_role(current_user, given.oid, 'usage')) as replicates,
                   current_setting('max_replication_slots')::int
                       - (select count(*)::int from pg_replication_slots) as free_slots
            from pg_roles where rolname = current_user
            """
        ).fetchone()
    assert found is not None
    return found


def described(connection: psycopg.Connection, name: str) -> Table | None:
    """A table (`table` or `schema.table`); None when there is none of the name."""
    target = sql.Identifier(*name.split(".")).as_string(connection)
    head = connection.execute(
        """
        select nspname::text, relname::text, relkind = 'r',
               pg_has_role(current_user, relowner, 'usage'), pg_get_userbyid(relowner)
        from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where pg_class.oid = to_regclass(%s)
        """,
        [target],
    ).fetchone()
    if head is None:
        return None
    with connection.cursor(row_factory=class_row(Column)) as cursor:
        columns = cursor.execute(
            """
            select attname as name, format_type(atttypid, atttypmod) as type,
                   attgenerated = '' as written,
                   array_position(indkey::int2[], attnum) + 1 as position
            from pg_attribute
            left join pg_index on indrelid = attrelid and indisprimary
            where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum
            """,
            [target],
        ).fetchall()
    sequence = _numbering(connection, target)
    schema, relation, ordinary, owned, owner = head
    return Table(name, tuple(columns), schema, relation, ordinary, owned, owner, sequence)


def _numbering(connection: psycopg.Connection, target: str) -> Numbering | None:
    """The sequence of the primary key, of an identity column or a default."""
    row = connection.execute(
        """
        select sequence::text, seqincrement
        from pg_attribute, lateral (
            select coalesce(
                pg_get_serial_sequence(%(table)s, attname),
                substring(pg_get_expr(adbin, adrelid) from 'nextval\\(''(.+)''::regclass\\)')
            )::regclass as sequence
            from (select) as one
            left join pg_attrdef on adrelid = attrelid and adnum = attnum
        ) as found
        join pg_sequence on seqrelid = sequence
        where attrelid = to_regclass(%(table)s) and exists (
            select from pg_index
            where indrelid = attrelid and indisprimary and attnum = any(indkey))
        """,
        {"table": target},
    ).fetchone()
    if row is None:
        return None
    name, step = row
    following = connection.execute(
        sql.SQL("select last_value + case when is_called then %s else 0 end from {}").format(
            sql.SQL(name)  # as regclass writes it: quoted where it must be
        ),
        [step],
    ).fetchone()
    assert following is not None
    return Numbering(name, step, following[0])


def _of(row: str, name: str) -> sql.Composable:
    return sql.SQL(row + ".") + sql.Identifier(name) if row else sql.Identifier(name)
