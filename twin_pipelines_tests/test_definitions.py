"""The graph is the documentation: what every asset must tell whoever opens the web UI."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

PACKAGE = Path(__file__).parents[1] / "twin_pipelines"
ORDER = [
    "foundation",
    "sources",
    "features",
    "embeddings",
    "persona",
    "memory",
    "retrieval",
    "generation",
    "instruct",
    "training",
    "evaluation",
    "promotion",
    "serving",
    "automation",
    "commands",
]
HEAVY = {"torch", "transformers", "mlflow", "great_expectations", "sklearn", "matplotlib", "trl"}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    from twin_pipelines.definitions import defs

    return defs


def test_the_definitions_load_and_every_dependency_exists(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    assert not [key for key in graph.get_all_asset_keys() if not graph.get(key).is_materializable]


def test_every_asset_tells_its_group_kinds_owner_description_and_has_a_check(
    defs: dg.Definitions,
) -> None:
    graph = defs.resolve_asset_graph()
    checked = {key.asset_key for key in graph.asset_check_keys}
    for spec in defs.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        assert spec.group_name and spec.group_name != "default", name
        assert spec.kinds, name
        assert spec.owners, name
        assert spec.description and len(spec.description) > 30, name
        assert spec.code_version, name
        assert spec.key in checked, f"{name} has no asset check"


def test_partitioned_assets_backfill_any_range_as_one_run(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    daily = [key for key in graph.get_all_asset_keys() if graph.get(key).partitions_def is not None]
    assert {key.to_user_string() for key in daily} == {
        "raw_conversations",
        "cleaned_messages",
        "message_embeddings",
        "episodic_memories",
        "instruct_pairs",
    }
    for key in daily:
        assert graph.get(key).backfill_policy == dg.BackfillPolicy.single_run()


def test_rooms_import_one_way_and_only_doors_know_dagster() -> None:
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        imports = _imports(path)
        if room in ORDER:
            later = {
                name.split(".")[1]
                for name in imports
                if name.startswith("twin_pipelines.") and name.split(".")[1] in ORDER
                if ORDER.index(name.split(".")[1]) > ORDER.index(room)
            }
            assert not later, f"{path} imports the later rooms {sorted(later)}"
        door = path.name in {"assets.py", "checks.py", "definitions.py", "cli.py"}
        if not door and room not in {"foundation", "automation", "commands"}:
            assert not {name for name in imports if name.split(".")[0] == "dagster"}, path


def test_loading_the_definitions_imports_no_heavy_library() -> None:
    code = f"import sys, twin_pipelines.definitions\nprint(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.strip().splitlines()[-1] == "[]"


def test_a_command_can_widen_the_history_before_the_day_partitions_are_fixed() -> None:
    code = (
        "import sys, twin_pipelines.cli\n"
        "import twin_pipelines.commands.demo, twin_pipelines.commands.importing\n"
        "import twin_pipelines.commands.up, twin_pipelines.commands.report\n"
        "print('twin_pipelines.foundation.partitions' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.strip() == "False"


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names
