"""Reads messages from any PostgreSQL table that has a speaker, a text and a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg
from psycopg import sql

from twin_pipelines.foundation.database import connect
from twin_pipelines.settings import Columns, Source, TwinError
from twin_pipelines.sources.identities import Identities
from twin_pipelines.sources.messages import LOOSE_SCHEMA, Batch, Rules, day_of, tidy
from twin_pipelines.sources.reconciliation_store import Compared
from twin_pipelines.sources.times import MOMENT

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

ROWS_AT_ONCE = 5_000
MESSAGE_TYPE = "message_type"  # kept as metadata when the table has it: cleaning drops by it
_NUMBERS = {"int2", "int4", "int8", "numeric", "float4", "float8"}
_SHOWN_NAMES = 30
_SELECTED: dict[str, Any] = {
    "source_message_id": pl.String,
    "conversation_id": pl.String,
    "speaker": pl.String,
    "text": pl.String,
    "sent_at": pl.Int64,  # microseconds since 1970
    "reply_to": pl.String,
    "metadata": pl.String,
}
BY_DAY = "a message without conversation was put into one of its day"


def opened(source: Source, own: psycopg.Connection) -> AbstractContextManager[psycopg.Connection]:
    """A connection to the source's database; without a URL the twin's own is used."""
    if not source.url:
        return nullcontext(own)
    connection = connect(source.url)
    connection.read_only = True
    return connection


def read_table(
    connection: psycopg.Connection, source: Source, days: DayRange, rules: Rules
) -> Iterator[Batch]:
    """The table's messages of the days, and its rows that have no time, in blocks.

    Times without zone are read in the rules' zone, numbers as seconds or milliseconds since 1970.
    Streams through a server-side cursor. Raises TwinError when the table or a column is missing, or
    the columns cannot be meant.
    """
    types = column_types(connection, source)
    query = sql.SQL("{} or {} is null").format(
        _days_query(source, types, rules), _window(source, types)
    )
    identities = Identities(apart=False)
    line = 0
    try:
        with connection.cursor(name="twin_source") as cursor:
            cursor.execute(query, _bounds(days, rules, types[source.columns.sent_at]))
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield identities.complete(_batch(rows, line, source, rules), rules)
                line += len(rows)
    except psycopg.errors.InsufficientPrivilege as error:
        raise _unreadable(connection, source) from error


def compared(
    connection: psycopg.Connection, source: Source, days: DayRange, rules: Rules
) -> Compared:
    """The table's messages of the days as `reconciliation_store` compares them with landed ones.

    What is mended on its way differs. Raises TwinError when the table or a column is missing.
    """
    types = column_types(connection, source)
    rows = sql.SQL(
        "(select btrim(message_id) as message_id, coalesce(nullif(btrim(conversation), ''), "
        "day::text) as conversation, btrim(speaker) as speaker, text, moment, "
        "nullif(btrim(reply_to), '') as reply_to, metadata, day from ({}) as message "
        "(message_id, conversation, speaker, text, moment, reply_to, metadata), "
        "lateral (select (to_timestamp(moment / 1000000.0) at time zone %(of_zone)s)::date) "
        "as dated (day)) as comparable"
    ).format(_days_query(source, types, rules))
    named = ("conversation", "speaker", "text", "moment", "reply_to", "metadata")
    return Compared(
        rows,
        sql.Identifier("message_id"),
        sql.Identifier("day"),
        [sql.Identifier(name) for name in named],
        parameters={
            **_bounds(days, rules, types[source.columns.sent_at]),
            "of_zone": rules.zone.key,
        },
    )


def days_of(
    connection: psycopg.Connection, source: Source, rules: Rules
) -> tuple[date, date] | None:
    """First and last day with messages, between 1970 and tomorrow; None: there are none."""
    types = column_types(connection, source)
    moment = _moment(source.columns.sent_at, types[source.columns.sent_at])
    query = sql.SQL(
        """
        select (min(moment) at time zone %(zone)s)::date, (max(moment) at time zone %(zone)s)::date
        from (select {moment} as moment from {table}) as message
        where moment >= '1970-01-02' and moment <= %(latest)s
        """
    ).format(moment=moment, table=_table(source.table))
    row = connection.execute(query, {"zone": rules.zone.key, "latest": rules.latest}).fetchone()
    return (row[0], row[1]) if row and row[0] else None


def column_types(connection: psycopg.Connection, source: Source) -> dict[str, str]:
    """Type by column, as its values can be cast to it.

    Raises TwinError when what the settings name is not there.
    """
    rows = connection.execute(
        """
        select attname, case when pg_type_is_visible(coalesce(base.oid, type.oid))
                             then coalesce(base.typname, type.typname) else 'text' end
        from pg_attribute
        join pg_type as type on type.oid = atttypid
        left join pg_type as base on base.oid = nullif(type.typbasetype, 0)
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum
        """,
        [_table(source.table).as_string(connection)],
    ).fetchall()
    types: dict[str, str] = dict(rows)
    where = f"{connection.info.dbname} at {connection.info.host}:{connection.info.port}"
    if not types:
        raise TwinError(
            f"The source {source.name} has no table {source.table} in {where} (found: "
            f"{_listed(_tables(connection))}); correct table in twin.toml."
        )
    columns = source.columns
    needed = {"speaker": columns.speaker, "text": columns.text, "sent_at": columns.sent_at}
    unnamed = [name for name, column in needed.items() if not column]
    if unnamed:
        raise TwinError(
            f"The source {source.name} names no column for {', '.join(unnamed)}; name one under "
            f"columns in twin.toml (found: {_listed(types)})."
        )
    named = (*needed.values(), columns.message_id, columns.conversation_id, columns.reply_to)
    missing = [
        name for name in dict.fromkeys((*named, *columns.metadata)) if name and name not in types
    ]
    if missing:
        raise TwinError(
            f"The table {source.table} in {where} has no column {', '.join(missing)} (found: "
            f"{_listed(types)}); correct columns of the source {source.name} in twin.toml."
        )
    if types[columns.sent_at] not in {"timestamptz", "timestamp", "date", *_NUMBERS}:
        raise TwinError(
            f"The column {columns.sent_at} of {source.table} is {types[columns.sent_at]}; the "
            f"source {source.name} needs a timestamp, a date or a number of seconds: name another "
            "column, or a view that casts it."
        )
    return types


def _tables(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        """
        select case when schemaname = 'public' then tablename
                    else schemaname || '.' || tablename end
        from pg_tables where schemaname not in ('pg_catalog', 'information_schema') order by 1
        """
    ).fetchall()
    return [name for (name,) in rows]


def _listed(names: Sequence[str] | dict[str, str]) -> str:
    shown = list(names)[:_SHOWN_NAMES]
    return (", ".join(shown) or "none") + (" …" if len(names) > len(shown) else "")


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))


def read_whole(
    connection: psycopg.Connection, source: Source, rules: Rules
) -> Iterator[tuple[Batch, list[str]]]:
    """All of the table's messages, in blocks, each with the identities of its rows in order.

    Lines are counted from 1 in each block. Streams through a server-side cursor. Raises TwinError
    as `read_table` does.
    """
    types = column_types(connection, source)
    query = sql.SQL("{} from {}").format(_selected(source, types, rules), _table(source.table))
    try:
        with connection.cursor(name="twin_source") as cursor:
            cursor.execute(query, {"zone": rules.zone.key})
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield _batch(rows, 0, source, rules), [str(row[0] or "") for row in rows]
    except psycopg.errors.InsufficientPrivilege as error:
        raise _unreadable(connection, source) from error


def read_keys(
    connection: psycopg.Connection, source: Source, keys: Sequence[str], rules: Rules
) -> tuple[Batch, list[str]]:
    """The messages that have these identities now, and the identities of the rows in order.

    Raises TwinError when the table or a column is missing.
    """
    types = column_types(connection, source)
    key, whole = sql.Identifier(source.columns.message_id), _selected(source, types, rules)
    query = sql.SQL("{} from {} where {} = any(%(keys)s::{}[])")
    typed = (key, sql.Identifier(types[source.columns.message_id]))
    asked = {"keys": list(keys), "zone": rules.zone.key}
    try:
        with connection.transaction():
            found = connection.execute(query.format(whole, _table(source.table), *typed), asked)
    except psycopg.DataError:  # an identity of a time when the key had another type
        as_text = (sql.SQL("{}::text").format(key), sql.SQL("text"))
        found = connection.execute(query.format(whole, _table(source.table), *as_text), asked)
    rows = found.fetchall()
    batch = Identities(apart=False).complete(_batch(rows, 0, source, rules), rules)
    return batch, [str(row[0] or "") for row in rows]


def read_values(
    connection: psycopg.Connection,
    source: Source,
    types: Mapping[str, str],
    values: Mapping[str, Sequence[str | None]],
    rules: Rules,
) -> Batch:
    """Rows given as text, by column and in one order, read as the table's own rows are.

    `types` are `column_types`; a column that is not given is null. The database casts the text,
    so that a row that went by and a row that stands give the same message.
    """
    count = max((len(column) for column in values.values()), default=0)
    given = {name: list(values[name]) for name in mapped_columns(source, types) if name in values}
    typed = {source.columns.sent_at, MESSAGE_TYPE, *source.columns.metadata}
    selected = [
        sql.SQL("{}::{} as {}").format(
            sql.Identifier(f"v{place}") if name in given else sql.SQL("null"),
            sql.Identifier(types[name] if name in typed else "text"),
            sql.Identifier(name),
        )
        for place, name in enumerate(mapped_columns(source, types))
    ]
    places = [place for place, name in enumerate(mapped_columns(source, types)) if name in given]
    query = sql.SQL(
        "{} from (select {} from unnest({}) with ordinality as given ({}, place) order by place) "
        "as changed"
    ).format(
        _selected(source, types, rules),
        sql.SQL(", ").join(selected),
        sql.SQL(", ").join(
            sql.SQL("{}::text[]").format(sql.Placeholder(f"v{place}")) for place in places
        ),
        sql.SQL(", ").join(sql.Identifier(f"v{place}") for place in places),
    )
    asked = {f"v{place}": column for place, column in zip(places, given.values(), strict=True)}
    rows = connection.execute(query, {**asked, "zone": rules.zone.key}).fetchall()
    if len(rows) != count:
        raise ValueError(f"{count} rows were given and {len(rows)} read")
    return _batch(rows, 0, source, rules)


def mapped_columns(source: Source, types: Mapping[str, str]) -> tuple[str, ...]:
    """The columns a message is read from, each once."""
    columns = source.columns
    named = (
        *(columns.message_id, columns.conversation_id, columns.speaker, columns.text),
        *(columns.sent_at, columns.reply_to, MESSAGE_TYPE, *columns.metadata),
    )
    return tuple(dict.fromkeys(name for name in named if name in types))


def _unreadable(connection: psycopg.Connection, source: Source) -> TwinError:
    return TwinError(
        f"The user {connection.info.user} may not read the table {source.table}; grant it SELECT."
    )


def _batch(rows: list[tuple[Any, ...]], line: int, source: Source, rules: Rules) -> Batch:
    loose, dayed = _by_day(_loose(rows, line, rules), rules)
    batch = tidy(loose, rules, partial(_shown, rows))
    return batch.mended(dayed, BY_DAY, rules) if source.columns.conversation_id else batch


def _selected(source: Source, types: Mapping[str, str], rules: Rules) -> sql.Composed:
    """`select` and the columns of a message, as text, of whatever has the table's columns."""
    columns = source.columns
    text = sql.SQL("left({}::text, {})").format(
        sql.Identifier(columns.text), sql.Literal(rules.max_chars + 1)
    )
    return sql.SQL(
        "select {message_id}, {conversation_id}, {speaker}, {text}, "
        "(extract(epoch from case when isfinite({moment}) then {moment} end) * 1000000)::bigint, "
        "{reply_to}, {metadata}"
    ).format(
        message_id=_text(columns.message_id),
        conversation_id=_text(columns.conversation_id),
        speaker=_text(columns.speaker),
        text=text,
        moment=_moment(columns.sent_at, types[columns.sent_at]),
        reply_to=_text(columns.reply_to),
        metadata=_metadata(columns, types, rules),
    )


def _text(column: str) -> sql.Composable:
    return sql.SQL("{}::text").format(sql.Identifier(column)) if column else sql.SQL("null::text")


def _moment(column: str, kind: str) -> sql.Composable:
    """The column as timestamptz; null where a number is beyond all time."""
    name = sql.Identifier(column)
    if kind == "timestamptz":
        return name
    if kind in _NUMBERS:
        return sql.SQL(
            "case when abs({0}) < 1e11 then to_timestamp({0}) "
            "when {0} between -2e14 and 9e15 then to_timestamp({0} / 1000.0) end"
        ).format(name)
    return sql.SQL("({}::timestamp at time zone %(zone)s)").format(name)


def _metadata(columns: Columns, types: Mapping[str, str], rules: Rules) -> sql.Composable:
    """JSON of the listed columns that are not null, cut one character beyond the limit."""
    names = list(dict.fromkeys(columns.metadata))
    if MESSAGE_TYPE in types and MESSAGE_TYPE not in names:
        names.insert(0, MESSAGE_TYPE)
    if not names:
        return sql.SQL("null::text")
    pairs = [sql.SQL("{}, {}").format(sql.Literal(name), sql.Identifier(name)) for name in names]
    return sql.SQL(
        "left(nullif(jsonb_strip_nulls(jsonb_build_object({})), '{{}}')::text, {})"
    ).format(sql.SQL(", ").join(pairs), sql.Literal(rules.max_chars + 1))


def _days_query(source: Source, types: Mapping[str, str], rules: Rules) -> sql.Composed:
    """The table's messages of the days of `_bounds`."""
    window = _window(source, types)
    return sql.SQL("{} from {} where ({window} >= %(first)s and {window} < %(until)s)").format(
        _selected(source, types, rules), _table(source.table), window=window
    )


def _window(source: Source, types: Mapping[str, str]) -> sql.Composable:
    """The time of a message, as the column is where an index on it may serve."""
    column = source.columns.sent_at
    kind = types[column]
    return _moment(column, kind) if kind in _NUMBERS else sql.Identifier(column)


def _bounds(days: DayRange, rules: Rules, kind: str) -> dict[str, Any]:
    """The window in the type of the column, so that an index on it serves."""
    first, until = days.first, days.last + timedelta(days=1)
    if kind == "date":
        return {"first": first, "until": until, "zone": rules.zone.key}
    bounds = [datetime.combine(day, time.min) for day in (first, until)]
    if kind != "timestamp":
        bounds = [bound.replace(tzinfo=rules.zone) for bound in bounds]
    return {"first": bounds[0], "until": bounds[1], "zone": rules.zone.key}


def _loose(rows: list[tuple[Any, ...]], line: int, rules: Rules) -> pl.DataFrame:
    """Rows of the query with LOOSE_SCHEMA."""
    frame = pl.DataFrame(rows, schema=_SELECTED, orient="row")
    metadata = pl.col("metadata")
    left_out = (metadata.str.len_chars() > rules.max_chars).fill_null(False)
    return frame.select(
        pl.int_range(line + 1, line + 1 + pl.len(), dtype=pl.Int64).alias("line"),
        "source_message_id",
        "conversation_id",
        "speaker",
        "text",
        pl.col("sent_at").cast(MOMENT),
        "reply_to",
        pl.when(~left_out).then(metadata).alias("metadata"),
        pl.col("sent_at").is_null().alias("timeless"),
        pl.lit(False).alias("zoneless"),
        pl.lit(False).alias("replaced"),
        left_out.alias("left_out"),
        pl.lit(None, dtype=pl.String).alias("fault"),
    ).select(*LOOSE_SCHEMA)


def _by_day(loose: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, pl.Series]:
    """Messages without a conversation put into one a day; their lines."""
    lacking = loose["conversation_id"].fill_null("").str.strip_chars() == ""
    if not lacking.any():
        return loose, loose["line"].clear()
    day = day_of(pl.col("sent_at"), rules.zone).cast(pl.String).fill_null("undated")
    named = pl.when(lacking).then(day).otherwise("conversation_id")
    return loose.with_columns(conversation_id=named), loose["line"].filter(lacking)


def _shown(rows: list[tuple[Any, ...]], place: int) -> str:
    return " | ".join("" if value is None else str(value)[:200] for value in rows[place][:4])
