"""The only SQL over `alert_deliveries`: what is still to be told outside, and what arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg


@dataclass(frozen=True)
class Delivery:
    """One thing to tell by one channel: an alert that is open, or that was cleared."""

    alert_id: int
    kind: str
    words: str
    raised_at: datetime
    cleared_at: datetime | None
    state: str  # open or cleared


def queue(connection: psycopg.Connection, channels: Sequence[str]) -> None:
    """Note what each channel has to tell.

    An open alert, unless one of its kind was told within the hour; a cleared one, if that it was
    open had arrived. What was cleared before it was told, or waits for a channel that is not set up
    any more, is not told at all.
    """
    connection.execute(
        """
        delete from alert_deliveries using alerts
        where alerts.alert_id = alert_deliveries.alert_id and delivered_at is null
          and (state = 'open' and cleared_at is not null
               or state = 'cleared' and cleared_at < now() - interval '1 day'
               or channel <> all(%s::text[]))
        """,
        (list(channels),),
    )
    connection.execute(
        """
        insert into alert_deliveries (alert_id, channel, state)
        select alert_id, channel, 'open'
        from alerts, unnest(%(channels)s::text[]) as channel
        where cleared_at is null and not exists (
            select from alert_deliveries as told
            join alerts as same on same.alert_id = told.alert_id
            where same.kind = alerts.kind and told.channel = channel.channel
              and told.state = 'open' and told.delivered_at > now() - interval '1 hour'
        )
        union all
        select alert_id, channel, 'cleared'
        from alerts join alert_deliveries as told using (alert_id)
        where cleared_at > now() - interval '1 day' and told.state = 'open'
          and told.delivered_at is not null and channel = any(%(channels)s)
        on conflict do nothing
        """,
        {"channels": list(channels)},
    )


def due(connection: psycopg.Connection, channel: str, minutes_between: float) -> list[Delivery]:
    """What a channel is to tell now, the oldest first; locked until the transaction ends.

    Nothing while its last message is less than `minutes_between` old, or while another process is
    telling it.
    """
    rows = connection.execute(
        """
        select alert_id, kind, words, raised_at, cleared_at, state
        from alert_deliveries join alerts using (alert_id)
        where channel = %(channel)s and delivered_at is null and next_at <= clock_timestamp()
          and not exists (
              select from alert_deliveries as last
              where last.channel = %(channel)s
                and last.delivered_at > now() - make_interval(secs => %(seconds)s)
          )
        order by alert_id, state for update of alert_deliveries skip locked
        """,
        {"channel": channel, "seconds": minutes_between * 60},
    ).fetchall()
    return [Delivery(*row) for row in rows]


def delivered(connection: psycopg.Connection, channel: str, told: Sequence[Delivery]) -> None:
    """These arrived."""
    connection.execute(
        """
        update alert_deliveries as one set delivered_at = clock_timestamp(), problem = ''
        from unnest(%s::bigint[], %s::text[]) as told (alert_id, state)
        where one.channel = %s and one.alert_id = told.alert_id and one.state = told.state
        """,
        (*_columns(told), channel),
    )


def failed(
    connection: psycopg.Connection, channel: str, told: Sequence[Delivery], problem: str
) -> None:
    """These did not arrive: again in 1, 2, 4 … minutes, in an hour at most."""
    connection.execute(
        """
        update alert_deliveries as one
        set attempts = attempts + 1, problem = %s,
            next_at = clock_timestamp()
                + make_interval(mins => least(60, 2 ^ least(attempts, 6))::int)
        from unnest(%s::bigint[], %s::text[]) as told (alert_id, state)
        where one.channel = %s and one.alert_id = told.alert_id and one.state = told.state
        """,
        (problem, *_columns(told), channel),
    )


def undelivered(connection: psycopg.Connection) -> list[tuple[str, str, int]]:
    """Channels that fail: name, what the last attempt said, how many things wait."""
    return connection.execute(
        """
        select channel, (array_agg(problem order by next_at desc))[1], count(*)
        from alert_deliveries where delivered_at is null and attempts > 0
        group by channel order by channel
        """
    ).fetchall()


def _columns(told: Sequence[Delivery]) -> tuple[list[int], list[str]]:
    return [one.alert_id for one in told], [one.state for one in told]
