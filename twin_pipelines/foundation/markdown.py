"""Tables for the metadata of assets and checks."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Rows as a table in markdown; a cell is one line, and no sign in it ends the cell."""
    lines = [header, ["---"] * len(header), *rows]
    cells = [[" ".join(str(value).split()).replace("|", "\\|") for value in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
