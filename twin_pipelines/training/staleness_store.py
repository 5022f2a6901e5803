"""What became of a dataset's pairs: reads `dataset_pairs`, `instruct_pairs` and `raw_messages`."""

from __future__ import annotations

import psycopg

from twin_pipelines.training.staleness import Changes


def changes_since(connection: psycopg.Connection, version: str) -> Changes:
    """Pairs of the dataset that were erased, dropped or edited since it was frozen.

    A pair has the identity of its reply's first raw message, and is edited when its context, its
    message or its reply is no longer what it was.
    """
    row = connection.execute(
        """
        with hidden as materialized (
            select coalesce(array_agg(id), '{}') as ids
            from (select unnest(hidden_ids) from forgetting_in_force) as gone (id)
        ), pairs as (
            select split = 'test' as tested, content_hash is null as untold,
                   case when raw_messages.id is null then 'erased'
                        when known.id is null or known.excluded is not null
                          or known.message_ids && hidden.ids then 'dropped'
                        when content_hash <> pair_hash(known.context, known.input, known.reply)
                        then 'edited' end as change
            from dataset_pairs cross join hidden
            left join raw_messages on raw_messages.id = pair_id
            left join instruct_pairs as known on known.id = pair_id
            where version = %(version)s
        )
        select count(*) filter (where not tested and change = 'erased')::int + (
                   select coalesce(sum(number), 0)::int from dataset_erasures
                   where version = %(version)s and part <> 'test'),
               count(*) filter (where not tested and change = 'dropped')::int,
               count(*) filter (where not tested and change = 'edited')::int,
               count(*) filter (where tested and change is not null)::int + (
                   select coalesce(sum(number), 0)::int from dataset_erasures
                   where version = %(version)s and part = 'test'),
               count(*) filter (where untold)::int
        from pairs
        """,
        {"version": version},
    ).fetchone()
    assert row, "an aggregate has a row"
    return Changes(version, *row)
