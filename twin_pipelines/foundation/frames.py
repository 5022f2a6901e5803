"""polars frames into and out of PostgreSQL, by COPY."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import orjson
import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

ROWS_A_WRITE = 50_000

_VECTORS = {"vector", "halfvec"}
_JSON = {"json", "jsonb"}
_DTYPES: dict[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "int2": pl.Int16(),
    "int4": pl.Int32(),
    "int8": pl.Int64(),
    "oid": pl.Int64(),
    "float4": pl.Float32(),
    "float8": pl.Float64(),
    "numeric": pl.Float64(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "bytea": pl.Binary(),
    "vector": pl.List(pl.Float32()),
    "halfvec": pl.List(pl.Float32()),
}
_FORMATS = {
    pl.Date: "%Y-%m-%d",
    pl.Time: "%H:%M:%S%.f",
    pl.Datetime: "%Y-%m-%d %H:%M:%S%.f",
}


def copy_frame(connection: psycopg.Connection, table: str, frame: pl.DataFrame) -> int:
    """Append a frame to the same-named columns of a table (`name` or `schema.name`).

    Lists become arrays, pgvector vectors or JSON, as the column asks; structs become JSON; uuids
    and JSON may be text. Null and the empty string stay apart. Returns the number of rows.
    """
    if frame.is_empty():
        return 0
    target = sql.Identifier(*table.split("."))
    ready = frame.select(_as_text(frame, _target_types(connection, target, frame)))
    names = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(target, names)
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for part in ready.iter_slices(ROWS_A_WRITE):
                buffer = BytesIO()
                part.write_csv(buffer, include_header=False, quote_style="non_numeric")
                copy.write(buffer.getbuffer())
        return cursor.rowcount


def fetch_frame(
    connection: psycopg.Connection,
    query: str | sql.SQL | sql.Composed,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    schema: Mapping[str, pl.DataType | type[pl.DataType]] | None = None,
) -> pl.DataFrame:
    """Rows of a query (SELECT, VALUES or … RETURNING) as a frame, typed even when empty.

    Text, uuid, json, interval and unknown types are String; numeric is Float64; timestamptz is
    Datetime("us", "UTC"); one-dimensional arrays and vectors are lists; bytea is Binary. `schema`
    casts the columns it names; a json column named there with a List or Struct is decoded.
    Raises ValueError for an array of several dimensions.
    """
    text = psycopg.ClientCursor(connection).mogrify(query, params).strip().rstrip(";")
    buffer = BytesIO()
    with connection.cursor() as cursor:
        statement = sql.SQL("copy ({}) to stdout (format csv)").format(sql.SQL(text))
        with cursor.copy(statement) as copy:
            for block in copy:
                buffer.write(block)
    columns = _describe(connection, text)
    buffer.seek(0)
    raw = _read(buffer, [name for name, _, _ in columns])
    frame = raw.select(_from_text(raw[name], kind, array) for name, kind, array in columns)
    encoded = {name for name, kind, array in columns if kind in _JSON and not array}
    for name, dtype in (schema or {}).items():
        decode = name in encoded and dtype != pl.String
        column = pl.col(name)
        frame = frame.with_columns(column.str.json_decode(dtype) if decode else column.cast(dtype))
    return frame


def _read(buffer: BytesIO, names: list[str]) -> pl.DataFrame:
    schema = dict.fromkeys(names, pl.String())
    if len(schema) < len(names):
        raise ValueError(f"the query gives two columns one name: {', '.join(names)}")
    if not buffer.getbuffer().nbytes:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(buffer, has_header=False, schema=schema)


def _describe(connection: psycopg.Connection, query: str) -> list[tuple[str, str, bool]]:
    """Name, type and whether it is an array, of each column; the query is not run."""
    encoding = connection.info.encoding
    with connection.lock:
        for result in (
            connection.pgconn.prepare(b"", query.encode(encoding)),
            connection.pgconn.describe_prepared(b""),
        ):
            if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(result, encoding)
    columns = []
    for index in range(result.nfields):
        oid = result.ftype(index)
        info = connection.adapters.types.get(oid)
        name = (result.fname(index) or b"").decode(encoding)
        kind = info.name if info else ""
        columns.append((name, kind, bool(info and info.array_oid == oid)))
    return columns


def _from_text(column: pl.Series, kind: str, array: bool) -> pl.Series:
    dtype = _DTYPES.get(kind, pl.String())
    if kind in _VECTORS:
        return column.str.strip_chars("[]").str.split(",").cast(dtype)
    if not array:
        return column.to_frame().select(_parse(pl.col(column.name), dtype)).to_series()
    if column.str.contains(r"^(\{\{|\[)").any():
        raise ValueError(f"the column {column.name} holds arrays of several dimensions")
    element = pl.element()
    quoted = element.str.slice(1, element.str.len_chars() - 2).str.replace_all(r"(?s)\\(.)", "$1")
    value = pl.when(element.str.starts_with('"')).then(quoted).when(element != "NULL").then(element)
    items = pl.col(column.name).str.extract_all(r'(?s)"(?:[^"\\]|\\.)*"|[^,{}"]+')
    return column.to_frame().select(items.list.eval(_parse(value, dtype))).to_series()


def _parse(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """PostgreSQL's text form of one value to a polars type."""
    if isinstance(dtype, pl.Boolean):
        return text == "t"
    if isinstance(dtype, pl.Binary):
        return text.str.slice(2).str.decode("hex")
    if isinstance(dtype, pl.Date | pl.Time | pl.Datetime):
        zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
        return text.str.strptime(dtype, _FORMATS[type(dtype)] + ("%#z" if zoned else ""))
    return text.cast(dtype)


def _target_types(
    connection: psycopg.Connection, target: sql.Identifier, frame: pl.DataFrame
) -> dict[str, str]:
    """Type names of the table's columns, asked for only where a list could become several."""
    if not any(isinstance(dtype, pl.List | pl.Array) for dtype in frame.dtypes):
        return {}
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            "select attname, typname from pg_attribute join pg_type on pg_type.oid = atttypid "
            "where attrelid = %s::regclass and attnum > 0",
            [target.as_string(connection)],
        )
        return dict(cursor.fetchall())


def _as_text(frame: pl.DataFrame, types: dict[str, str]) -> list[pl.Expr | pl.Series]:
    columns: list[pl.Expr | pl.Series] = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if isinstance(dtype, pl.Struct) or (types.get(name) in _JSON and _is_list(dtype)):
            values = frame[name].to_list()
            encoded = [None if v is None else orjson.dumps(v).decode() for v in values]
            columns.append(pl.Series(name, encoded, dtype=pl.String))
        elif isinstance(dtype, pl.List | pl.Array):
            columns.append(_array(name, dtype, types.get(name) in _VECTORS))
        elif isinstance(dtype, pl.Binary):
            columns.append((pl.lit("\\x") + column.bin.encode("hex")).alias(name))
        elif isinstance(dtype, pl.Duration):
            columns.append(column.dt.to_string("iso"))
        else:
            columns.append(column)
    return columns


def _is_list(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List | pl.Array)


def _array(name: str, dtype: pl.List | pl.Array, vector: bool) -> pl.Expr:
    """PostgreSQL's literal of an array ({…}) or of a pgvector vector ([…])."""
    inner = dtype.inner
    column = pl.col(name).cast(pl.List(inner))
    element = pl.element().cast(pl.String)
    if not (inner.is_numeric() or isinstance(inner, pl.Boolean)):
        escaped = element.str.replace_all("\\", "\\\\", literal=True)
        element = pl.lit('"') + escaped.str.replace_all('"', '\\"', literal=True) + pl.lit('"')
    joined = column.list.eval(element.fill_null("NULL")).list.join(",")
    opening, closing = "[]" if vector else "{}"
    return (pl.lit(opening) + joined + pl.lit(closing)).alias(name)
