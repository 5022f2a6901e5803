"""`twin rollback`: an earlier release serves again, whole, in one transaction."""

from __future__ import annotations

from rich.console import Console

from twin_pipelines.foundation.database import Databases, connect
from twin_pipelines.foundation.registry import restore_files
from twin_pipelines.foundation.tracking import open_client
from twin_pipelines.promotion import store
from twin_pipelines.promotion.release import rollback, rollback_target, sync_aliases
from twin_pipelines.settings import TwinSettings


def roll_back(
    settings: TwinSettings, databases: Databases, console: Console, to: int | None
) -> store.Release:
    """Bring back adapter, persona, core memories and retrieval settings of an earlier release.

    An adapter whose folder is gone is first restored from the registry's copy. Raises TwinError
    when there is nothing to go back to, or no copy.
    """
    with connect(databases.twin) as connection:
        client = open_client(settings, databases)
        target = rollback_target(connection, to)
        folder = settings.home / target.path / "adapter"
        if not folder.is_dir():
            restore_files(client, target.model_version, folder)
            console.print(f"Restored {folder} from the registry.", soft_wrap=True, markup=False)
        restored = rollback(connection, target.release_id)
        connection.commit()
        sync_aliases(connection, client)
        count = store.core_memory_count(connection)
    console.print(
        f"Release {restored.release_id} (version {restored.model_version}, adapter "
        f"{restored.adapter_id}) serves again, with its {count} core memories, its persona "
        f"{restored.parts.persona.get('version', 'of before')} and its retrieval settings.",
        soft_wrap=True,
        markup=False,
    )
    return restored
