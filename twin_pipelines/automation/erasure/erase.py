"""Removes what a request names from every table, in one transaction.

The dry run is the same transaction, rolled back: it cannot tell anything else than what goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

import psycopg

from twin_pipelines.automation.erasure import (
    erasure_store,
    quotes_store,
    removal_store,
    selection_store,
)
from twin_pipelines.automation.erasure.erasure_store import Erasure
from twin_pipelines.automation.erasure.pages import trimmed, without_lines
from twin_pipelines.automation.erasure.request import Request
from twin_pipelines.automation.erasure.sayings import Sayings, telling
from twin_pipelines.automation.store import days_run_into
from twin_pipelines.persona.identity.compose import composed, page_of
from twin_pipelines.promotion.parts import short_hash
from twin_pipelines.promotion.release import Force, allow_erased
from twin_pipelines.promotion.signature import signing_key
from twin_pipelines.promotion.store import champion, notify_servers
from twin_pipelines.retrieval.learning.store import withdraw
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.store import stored_subject
from twin_pipelines.training.blocks_store import affected, block

LOCK_SECONDS = 60


def erase(connection: psycopg.Connection, settings: TwinSettings, request: Request) -> Erasure:
    """Remove what the request names, and leave what keeps it out; the caller commits, or rolls back
    what was a dry run.

    Nobody lands a message meanwhile. Raises TwinError when nothing fits, an erasure is unfinished,
    nothing would be left of the subject, or somebody else is landing for too long.
    """
    try:
        selection_store.lock_landings(connection, LOCK_SECONDS)
        going = erasure_store.unfinished(connection)
        if going:
            raise TwinError(
                f"The erasure {going.erasure_id[:8]} is not finished; run `twin forget --resume` "
                "first."
            )
        request = _resolved(connection, request)
        _select(connection, request)
        return _Removal(connection, settings, request).run()
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        connection.rollback()
        raise TwinError(
            "Somebody is writing what would go, and nothing was erased; let that end, or stop "
            "`twin follow`, and try again."
        ) from error


def _resolved(connection: psycopg.Connection, request: Request) -> Request:
    """The request with the one source its conversation stands in."""
    if not request.conversation or request.source:
        return request
    found = selection_store.sources_of_conversation(connection, request.conversation)
    if len(found) > 1:
        raise TwinError(
            f"There is a conversation of that name in {' and '.join(found)}; name one with "
            "--source."
        )
    return Request(**{**vars(request), "source": found[0]}) if found else request


def _select(connection: psycopg.Connection, request: Request) -> None:
    found = selection_store.select_messages(connection, request)
    untold = [said for said in selection_store.untold(connection) if telling(said)]
    selection_store.mark_telling(connection, untold)
    sayings = Sayings(untold)
    echoes = [
        message for message, text in selection_store.twins_own(connection) if sayings.said_in(text)
    ]
    selection_store.add_messages(connection, echoes)
    selection_store.select_derived(connection, request)
    if not found and not selection_store.anything_else(connection):
        raise TwinError(
            "Nothing in the history fits what was named; `twin status --json` lists the sources, "
            "`twin recall` finds messages."
        )
    subject = stored_subject(connection)
    if subject and selection_store.leaves_nothing_of(connection, subject.speaker):
        raise TwinError(
            f"That would leave nothing of {subject.name}, whose twin this is; to end the twin, "
            "stop it and delete its state folder and its database."
        )


class _Removal:
    """One removal; the selected rows stand in the transaction's temporary tables."""

    def __init__(
        self, connection: psycopg.Connection, settings: TwinSettings, request: Request
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._request = request
        self._removed: Counter[str] = Counter()
        self._messages = selection_store.message_ids(connection)
        self._sayings = Sayings(selection_store.told(connection))

    def run(self) -> Erasure:
        """Remove everything; returns the account of it."""
        connection, request = self._connection, self._request
        before = removal_store.counts(connection)
        erasure_id = erasure_store.begin(connection, request)
        erasure_store.bury(connection, erasure_id)
        selection_store.note_texts(connection)
        erasure_store.note_what_to_look_for(connection, erasure_id)
        days = self._days()
        versions = self._rewrite_prompts(self._rewrite_pages())
        blocked, datasets, releases = self._block(erasure_id, versions)
        retrievers = withdraw(connection, self._messages)
        self._removed["retrievers"] += len(retrievers)
        self._remove()
        after = removal_store.counts(connection)
        touched = {name for name, rows in self._removed.items() if rows} | {
            name for name in before if after[name] != before[name]
        }
        erasure_store.account(
            connection,
            erasure_id,
            days=days,
            removed={
                name: max(self._removed[name], before[name] - after[name])
                for name in sorted(touched)
            },
            before={name: before[name] for name in sorted(touched)},
            affected={
                "datasets": datasets,
                "adapters": blocked,
                "releases": releases,
                "retrievers": retrievers,
            },
        )
        self._tell_servers()
        made = erasure_store.erasure(connection, erasure_id)
        assert made, "the erasure was just written"
        return made

    def _days(self) -> list[date]:
        sent = selection_store.days_of_messages(self._connection)
        touched = {*sent, *selection_store.days_beyond(self._connection)}
        pause = self._settings.cleaning.session_pause_minutes
        return sorted({*touched, *days_run_into(self._connection, sorted(touched), pause)})

    def _rewrite_pages(self) -> list[str]:
        """Trim the page in use, delete former ones that rest on a message; the lines that went."""
        dropped: list[str] = []
        former = []
        for version, speaker, document, in_use in quotes_store.pages(self._connection):
            page, lines = trimmed(page_of(document), frozenset(self._messages), self._sayings)
            dropped += lines
            if not in_use:
                former.append(version)
            elif page != page_of(document):
                made = composed(
                    speaker, page, self._settings.persona, by_owner=bool(document["by_owner"])
                )
                values = {
                    "document": made.document,
                    "content": made.content,
                    "short_form": made.short_form,
                    "tokens": made.tokens,
                    "inputs_hash": made.inputs_hash,
                    "message_ids": made.page.message_ids,
                }
                quotes_store.rewrite_page(self._connection, version, values)
                self._removed["core_identities"] += 1
        self._removed["core_identities"] += quotes_store.remove_pages(self._connection, former)
        return dropped

    def _rewrite_prompts(self, dropped: Sequence[str]) -> list[str]:
        """Take lines out of every release's persona and every dataset's prompt; the datasets."""
        for release_id, persona in quotes_store.personas(self._connection):
            texts = {
                name: without_lines(persona[name], dropped, self._sayings)
                for name in ("system_prompt", "identity")
                if persona.get(name)
            }
            if any(persona[name] != text for name, text in texts.items()):
                made = {**persona, **texts, "version": short_hash(texts.get("system_prompt", ""))}
                quotes_store.rewrite_persona(self._connection, release_id, made)
                self._removed["releases"] += 1
        changed = []
        for version, prompt in quotes_store.prompts(self._connection):
            text = without_lines(prompt or "", dropped, self._sayings)
            if text != (prompt or ""):
                quotes_store.rewrite_prompt(self._connection, version, text)
                changed.append(version)
        self._removed["datasets"] += len(changed)
        return changed

    def _block(
        self, erasure_id: str, versions: Sequence[str]
    ) -> tuple[list[str], list[str], list[int]]:
        """Block what learnt some of it, and remove the corrections and chats that quote it."""
        connection, said_in = self._connection, self._sayings.said_in
        corrections = [one for one, text in quotes_store.corrections(connection) if said_in(text)]
        never = [one for one, text in quotes_store.never_says(connection) if said_in(text)]
        turns = quotes_store.chat_turns(connection)
        quoting = [(chat, place) for chat, place, text, _ in turns if said_in(text)]
        chats = quotes_store.select_chats(connection, quoting)
        given = {"correction_ids": corrections, "chat_ids": chats, "versions": versions}
        reached = affected(connection, self._messages, **given)
        blocked = block(connection, erasure_id, self._messages, **given)
        adapters = sorted({one.adapter_id for one in blocked})
        if self._request.keep_serving:
            key = signing_key(self._settings.home)
            word = Force(self._request.asked_by, self._request.reason, key)
            for adapter_id in adapters:
                allow_erased(connection, adapter_id, word)
        self._removed += quotes_store.remove_corrections(connection, corrections, never)
        person = self._request.person if self._request.whole_person else None
        prompts = [(chat, place) for chat, place, _, asked in turns if said_in(asked)]
        summed = [one for one, text in quotes_store.summaries(connection) if said_in(text)]
        self._removed += quotes_store.empty_chats(connection, prompts, summed, person)
        releases = sorted({number for one in reached for number in one.releases})
        return adapters, sorted({one.version for one in reached}), releases

    def _remove(self) -> None:
        connection, request = self._connection, self._request
        person = request.person if request.whole_person else None
        words = quotes_store.forgotten_words(connection)
        hiding = [one for one, text in words if self._sayings.said_in(text)]
        self._removed += removal_store.remove_turns(connection)
        self._removed += removal_store.remove_memories(connection, self._messages, person)
        self._removed["forgotten"] += removal_store.trim_forgotten(
            connection, self._messages, hiding
        )
        self._removed += removal_store.remove_persona(connection)
        self._removed["raw_messages"] += removal_store.remove_messages(connection)
        self._removed += removal_store.remove_accounts(
            connection, request.source, whole_source=request.whole_source
        )

    def _tell_servers(self) -> None:
        serving = champion(self._connection)
        if serving:
            notify_servers(self._connection, serving.release_id)
