"""A history in which a secret stands in every table that can hold one, with its lineage."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.memory.records import memory_identity
from twin_pipelines.settings import TwinSettings

SECRET = "the canary is buried under the old bridge"
THAI = "ฝังนกขมิ้นไว้ใต้สะพานเก่าริมคลอง"
PLAIN = "we had noodles and went home early"
NOON = datetime(2018, 5, 7, 12, tzinfo=UTC)
DAY = NOON.date()


@dataclass(frozen=True)
class Said:
    """The messages of a history, by what they are to the test."""

    secret: uuid.UUID  # carol, conversation c1
    thai: uuid.UUID  # carol, conversation c1
    kept: uuid.UUID  # ann, the subject, conversation c1, right after the secret
    other: uuid.UUID  # ben, conversation c2


def message_id(source: str, number: str) -> uuid.UUID:
    """As the database makes it."""
    import hashlib

    return uuid.UUID(hashlib.md5(f"{source}\x1f{number}".encode()).hexdigest())


def say(
    connection: psycopg.Connection,
    number: str,
    speaker: str,
    text: str,
    minute: int,
    conversation: str = "c1",
    source: str = "file",
) -> uuid.UUID:
    """One raw message; returns its identity."""
    at = NOON + timedelta(minutes=minute)
    connection.execute(
        "insert into consents values (%s, 'file', 'a file', 'Ann, 2018') on conflict do nothing",
        (source,),
    )
    connection.execute(
        "insert into raw_messages (source, source_message_id, conversation_id, speaker, text, "
        "sent_at, day) values (%s, %s, %s, %s, %s, %s, %s)",
        (source, number, conversation, speaker, text, at, at.date()),
    )
    return message_id(source, number)


def told(connection: psycopg.Connection, settings: TwinSettings) -> Said:
    """Raw messages and the turns made of them, committed."""
    connection.execute(
        "insert into subjects (speaker, name, chosen_by) values ('ann', 'Ann', 'settings')"
    )
    said = Said(
        secret=say(connection, "1", "carol", SECRET, 0),
        thai=say(connection, "2", "carol", THAI, 4),
        kept=say(connection, "3", "ann", "really, I never knew that", 8),
        other=say(connection, "4", "ben", PLAIN, 12, "c2"),
    )
    say(connection, "5", "ann", "that sounds like a fine day", 15, "c2")
    connection.commit()
    refresh_days(connection, settings, DayRange(DAY, DAY))
    return said


def fill(connection: psycopg.Connection, said: Said) -> None:
    """A row of the secret, and one of other words, in every table with a lineage; committed."""
    _pairs(connection, said)
    _models(connection, said)
    _memories(connection, said)
    _persona(connection, said)
    _owner(connection, said)
    _accounts(connection, said)
    connection.commit()


def _pairs(connection: psycopg.Connection, said: Said) -> None:
    for reply, context, ids in (
        (said.kept, SECRET, [said.secret, said.kept]),
        (said.other, "hello there you", [said.other]),
    ):
        connection.execute(
            "insert into instruct_pairs values (%s, %s, 'file', 'c1', %s, 'p1', %s, %s, 'so?', "
            "'really', 'en', 5, '{}', null, %s)",
            (reply, DAY, ids[0], NOON, Jsonb([{"role": "user", "content": context}]), ids),
        )
    connection.execute(
        """
        insert into message_embeddings
        select id, 'm@1', content_hash, '[1,0]' from cleaned_messages
        """
    )
    connection.execute("insert into known_items values (%s, %s)", (said.secret, said.other))


def _models(connection: psycopg.Connection, said: Said) -> None:
    prompt = f"You are Ann.\n- {SECRET}\n- Likes noodles"
    connection.execute(
        """
        insert into datasets (version, subject, settings, train, validation, test, purged,
                              train_until, test_from, path)
        values ('d1', 'ann', %s, 1, 0, 1, '{}', now(), now(), 'datasets/d1')
        """,
        (Jsonb({"system_prompt": prompt}),),
    )
    for pair, split, ids in (
        (said.kept, "train", [said.secret, said.kept]),
        (said.other, "test", [said.other]),
    ):
        connection.execute(
            "insert into dataset_pairs (version, pair_id, split, message_ids) "
            "values ('d1', %s, %s, %s)",
            (pair, split, ids),
        )
        connection.execute(
            "insert into preference_pairs (version, number, kind, pair_id) "
            "select 'd1', count(*), 'base', %s from preference_pairs",
            (pair,),
        )
    connection.execute(
        """
        insert into adapters (adapter_id, dataset_version, base_model, base_hash, config,
                              code_version, path, metrics, mlflow_run_id)
        values ('a1', 'd1', 'base', 'h', '{}', '1', 'adapters/a1', '{}', 'r');
        insert into evaluations (evaluation_id, adapter_id, metrics, path)
        values ('e1', 'a1', '{}', 'evaluations/e1')
        """
    )
    connection.execute(
        "insert into releases (adapter_id, evaluation_id, model_version, status, verdict, persona, "
        "promoted_at) values ('a1', 'e1', 1, 'champion', '{}', %s, now())",
        (Jsonb({"system_prompt": prompt, "version": "v", "identity": f"- {SECRET}"}),),
    )
    for pair in (said.kept, said.other):
        connection.execute(
            "insert into blind_choices (evaluation_id, pair_id, shown, chosen, seconds) "
            "values ('e1', %s, '{real,twin,base}', 'real', 3)",
            (pair,),
        )
    connection.execute(
        "insert into retrievers (retriever_id, model, dimensions, rank, weights, recipe, "
        "learned_from, message_ids, figures, passed, verdict) "
        "values ('r1', 'm@1', 1, 1, '\\x0000000000000000', 'x', 'd1', %s, '{}', true, 'better')",
        ([said.secret, said.other],),
    )


def remembered(
    connection: psycopg.Connection,
    content: str,
    messages: list[uuid.UUID],
    sources: list[str] | None = None,
    about: str = "ann",
    **changed: object,
) -> str:
    """A memory; returns its identity."""
    row: dict[str, object] = {
        "memory_id": memory_identity("episodic", about, "Likes", content),
        "type": "episodic",
        "kind": "Likes",
        "title": content,
        "content": content,
        "about": about,
        "importance": 0.5,
        "confidence": 1,
        "first_at": NOON,
        "last_at": NOON,
        "origin": "extracted",
        "message_ids": messages,
        "source_ids": sources or [],
        **changed,
    }
    names = ", ".join(row)
    marks = ", ".join(f"%({name})s" for name in row)
    marks = marks.replace("%(source_ids)s", "%(source_ids)s::uuid[]")
    connection.execute(f"insert into memories ({names}) values ({marks})", row)
    return str(row["memory_id"])


def _memories(connection: psycopg.Connection, said: Said) -> None:
    connection.execute(
        "insert into memory_runs (kind, words) values ('owner', %s), ('consolidation', 'two made')",
        (f"forgot “{SECRET[:20]}”",),
    )
    connection.execute(
        "select set_config('twin.memory_run', max(run_id)::text, false) from memory_runs"
    )
    secret = remembered(connection, SECRET, [said.secret])
    both = remembered(connection, f"Ann knows that {SECRET}", [said.secret, said.kept])
    made = remembered(connection, f"dreams: {SECRET}", [], [both], type="dream", origin="reflected")
    plain = remembered(connection, PLAIN, [said.other])
    connection.execute(
        "update memories set superseded_by = %s, valid_until = now() where memory_id = %s",
        (secret, plain),
    )
    connection.execute("select set_config('twin.memory_run', '', false)")
    for memory in (secret, both, made, plain):
        connection.execute(
            "insert into memory_embeddings values (%s, 'm@1', md5('x'), '[1,0]')", (memory,)
        )
        connection.execute("insert into memory_words values (%s, 'x', 'canary:1', 1)", (memory,))
        connection.execute("insert into memory_recalls values (%s, 1, now())", (memory,))
    connection.execute("insert into consolidated_speakers values ('ann', 'x'), ('ben', 'y')")
    for words, message in ((SECRET, said.secret), (PLAIN, said.other)):
        connection.execute(
            "insert into forgotten (run_id, memory_id, message_ids, hidden_ids, words) "
            "values (1, gen_random_uuid(), %s, %s, %s)",
            ([message], [message], words),
        )
    for table in ("core_candidates", "core_memories"):
        for content, message in ((SECRET, said.secret), (PLAIN, said.other)):
            first = "(select max(release_id) from releases), " if table == "core_memories" else ""
            connection.execute(
                f"insert into {table} values ({first}gen_random_uuid(), 'fact', %s, 1, '{{}}', 1, "
                "now(), now(), %s)",
                (content, [message]),
            )


def _persona(connection: psycopg.Connection, said: Said) -> None:
    for text, message, term in ((SECRET, said.secret, "canary"), (PLAIN, said.other, "noodles")):
        connection.execute(
            "insert into writing_style values ('', '', %s, 1, null, null, null, 1, %s, %s)",
            (term, [text], [message]),
        )
        connection.execute(
            "insert into vocabulary values (%s, 'word', 'en', 1, 1, 1, 1, 1, %s)", (term, [message])
        )
        connection.execute(
            "insert into response_templates values (gen_random_uuid(), 'question', %s, 'en', 1, 1, "
            "1, %s, %s)",
            (text, Jsonb([{"partner": text, "reply": text}]), [message]),
        )
        connection.execute(
            "insert into preferences values (gen_random_uuid(), 'like', %s, %s, %s, 1, now(), "
            "'ann', 1, 1, now(), null, null, %s)",
            (term, term, text, [message]),
        )
        connection.execute(
            "insert into traits values (%s, 'value', 0, -1, 1, 0, 1, 'words', %s)",
            (term, [message]),
        )
    connection.execute("insert into voice_tests values ('carol', 'f', 1, 0, 1, true, 'one voice')")
    lines = [
        {"key": "1", "text": SECRET, "source": "generated", "message_ids": [str(said.secret)]},
        {
            "key": "2",
            "text": "Likes noodles",
            "source": "generated",
            "message_ids": [str(said.secret), str(said.other)],
        },
        {"key": "owner/3", "text": "Is my sister", "source": "edited", "message_ids": []},
    ]
    for line in lines:
        line["was"] = ""
    document = {
        "sections": [{"key": "facts", "title": "Facts", "lines": lines, "inline": False}],
        "removed": [],
        "waiting": [],
        "by_owner": False,
    }
    for _ in range(2):
        connection.execute(
            "insert into core_identities (speaker, document, content, short_form, tokens, edited, "
            "inputs_hash, message_ids) values ('ann', %s, %s, %s, 9, true, 'x', %s)",
            (
                Jsonb(document),
                json.dumps([line["text"] for line in lines]),
                SECRET,
                [said.secret, said.other],
            ),
        )


def _owner(connection: psycopg.Connection, said: Said) -> None:
    for text in (SECRET.upper(), PLAIN):
        connection.execute(
            "insert into corrections (prompt, rejected, chosen, made_by) "
            "values (%s, 'no', %s, 'a page')",
            (Jsonb([{"role": "user", "content": text}]), f"well, {text}!"),
        )
        connection.execute("insert into never_says (phrase) values (%s)", (text,))
    connection.execute(
        "insert into chats (chat_id, consented, partner, summary, summarised) values "
        "('00000000-0000-4000-8000-000000000001', true, 'carol', 'x', 1), "
        "('00000000-0000-4000-8000-000000000002', true, 'ben', %s, 1)",
        (f"They said: {SECRET}.",),
    )
    for place, (text, prompt) in enumerate(((SECRET, "hi"), ("fine", SECRET), ("ok", "ok"))):
        connection.execute(
            "insert into chat_turns (chat_id, place, role, content, prompt, memory_ids) "
            "values ('00000000-0000-4000-8000-000000000002', %s, 'user', %s, %s, "
            "array(select memory_id from memories))",
            (place, text, Jsonb([{"role": "user", "content": prompt}])),
        )


def _accounts(connection: psycopg.Connection, said: Said) -> None:
    connection.execute(
        """
        insert into imports
            (source, location, sha256, rows_read, landed, rejected, repaired, reasons)
        values ('file', 'a file', 'h', 5, 5, 0, 0, '{}')
        """
    )
    connection.execute(
        "insert into import_problems select max(import_id), 1, 'repaired', 'cut', %s from imports",
        (SECRET[:30],),
    )
    connection.execute(
        "insert into feeds (feed, location, tables, mapping, position) "
        "values ('f', 'x', '{t}', 'm', '0/1')"
    )
    connection.execute(
        "insert into dead_letters (feed, source, key, reason, excerpt, position) "
        "values ('f', 'file', 'k', 'no time', %s, '0/1')",
        (SECRET[:30],),
    )
