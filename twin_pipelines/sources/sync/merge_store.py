"""The SQL by which two tables that differ are made the same: the later version of each row wins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import psycopg
from psycopg import sql

from twin_pipelines.settings import SyncTable, TwinError
from twin_pipelines.sources.sync.pair import Side
from twin_pipelines.sources.sync.table_store import Table


def deleted(side: Side, table: Table, keys: Sequence[str]) -> dict[str, datetime]:
    """Which of the rows were deleted while the sync ran: the version that went."""
    rows = side.connection.execute(
        sql.SQL(
            """
            select key, max(updated_at) from (
                select case cardinality(key) when 1 then key[1] else key::text end as key,
                       updated_at
                from {} where table_name = %s and not revived
            ) as gone
            where key = any(%s) group by key having max(updated_at) is not null
            """
        ).format(sql.Identifier(side.sync, "deletions")),
        [table.name, list(keys)],
    ).fetchall()
    return dict(rows)


def delete_rows(side: Side, wanted: SyncTable, table: Table, versions: dict[str, datetime]) -> int:
    """Delete rows that are no later than the version that was deleted; how many went."""
    return side.connection.execute(
        sql.SQL(
            "delete from {table} using unnest(%s::text[], %s::timestamptz[]) as gone (gone, at) "
            "where {key} = gone.gone and {updated_at} <= gone.at"
        ).format(
            table=table.identifier,
            key=table.key_text(),
            updated_at=sql.Identifier(wanted.updated_at),
        ),
        [list(versions), list(versions.values())],
    ).rowcount


def carry(
    giver: Side, taker: Side, wanted: SyncTable, table: Table, days: Sequence[date | None]
) -> int:
    """Bring the rows of some days from one side to the other, where they are later; how many.

    One COPY and one statement, in one transaction of the taker. Raises TwinError when a row of the
    other side is in the way.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, table.written))
    day = sql.SQL("({})::date").format(sql.Identifier(wanted.updated_at))
    chosen = sql.SQL("{0} = any({1}::date[]) or ({2} and {0} is null)").format(
        day,
        sql.Literal([str(one) for one in days if one is not None]),
        sql.Literal(None in days),
    )
    taken = sql.SQL("copy (select {} from {} where {}) to stdout").format(
        columns, table.identifier, chosen
    )
    given = sql.SQL("copy carried ({}) from stdin").format(columns)
    try:
        with taker.connection.transaction():
            taker.connection.execute(
                sql.SQL(
                    "create temporary table carried on commit drop as "
                    "select {} from {} with no data"
                ).format(columns, table.identifier)
            )
            with (
                giver.connection.cursor() as source,
                taker.connection.cursor() as target,
                source.copy(taken) as reading,
                target.copy(given) as writing,
            ):
                for block in reading:
                    writing.write(block)
            return taker.connection.execute(_upsert(wanted, table, columns)).rowcount
    except (psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation) as error:
        raise TwinError(
            f"Rows of {table.name} from {giver.name} do not fit into {taker.name} "
            f"({error.diag.constraint_name}); change or delete one of the two rows there, list a "
            "table after those it refers to under [sync] in twin.toml, and run twin sync setup "
            "again."
        ) from None  # the cause quotes the row


def _upsert(wanted: SyncTable, table: Table, columns: sql.Composed) -> sql.Composed:
    def version(row: str) -> sql.Composed:
        updated_at = sql.SQL("coalesce({}.{}, '-infinity')").format(
            sql.SQL(row), sql.Identifier(wanted.updated_at)
        )
        origin = (
            sql.SQL("coalesce({}.{}::text, '')").format(sql.SQL(row), sql.Identifier(wanted.origin))
            if wanted.origin
            else sql.SQL("''")
        )
        return sql.SQL('({}, {} collate "C", {} collate "C")').format(
            updated_at, origin, table.content(row)
        )

    given = [name for name in table.written if name not in table.key]
    return sql.SQL(
        "insert into {table} as old ({columns}) overriding system value "
        "select {columns} from carried on conflict ({key}) do update "
        "set {taken} where {new_version} > {old_version}"
    ).format(
        table=table.identifier,
        columns=columns,
        key=sql.SQL(", ").join(map(sql.Identifier, table.key)),
        taken=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in given
        ),
        new_version=version("excluded"),
        old_version=version("old"),
    )
