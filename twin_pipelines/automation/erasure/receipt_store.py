"""The SQL that a receipt is made of."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row


def models(connection: psycopg.Connection, erasure_id: str) -> list[dict[str, Any]]:
    """What became of every adapter that an erasure blocked, with its releases' states."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            select block.adapter_id, dataset_version, reason, allowed_by,
                   coalesce(to_char(blocked_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                            '') as blocked_at,
                   coalesce(to_char(allowed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                            '') as allowed_at,
                   array(select format('%%s (%%s)', release_id, status) from releases
                         where releases.adapter_id = block.adapter_id order by release_id)
                       as releases
            from adapter_blocks as block join adapters using (adapter_id)
            where erasure_id = %s order by 1
            """,
            (erasure_id,),
        ).fetchall()


def datasets(connection: psycopg.Connection, erasure_id: str) -> list[dict[str, Any]]:
    """How much every frozen dataset lost, by part."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select version, part, number from dataset_erasures where erasure_id = %s "
            "order by 1, 2",
            (erasure_id,),
        ).fetchall()
