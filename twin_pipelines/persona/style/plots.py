"""Pictures of somebody's writing: what is distinctive, how it changed, with whom, which words."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from twin_pipelines.persona.style.measure import FEATURES, WORD

HABITS_PLOT = "distinctive_habits.png"
TIME_PLOT = "habits_over_time.png"
PARTNERS_PLOT = "habits_by_partner.png"
WORDS_PLOT = "characteristic_words.png"
SHOWN = 24
LINES = 6
PARTNERS = 12
FAR = 4.0  # standard deviations at which colours and bars end
_MORE, _LESS, _GREY = "#2a7d46", "#b3352c", "#888888"
_NAME_LENGTH = 12


def draw_style(folder: Path, rows: pl.DataFrame) -> list[Path]:
    """Plots of `writing_style` as PNGs in the folder; those without data are not drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = (pl.col("partner") == "") & (pl.col("period") == "")
    ranked = rows.filter(whole, pl.col("distinction").is_not_null()).sort(
        pl.col("distinction").abs(), pl.col("feature"), descending=[True, False]
    )
    habits = ranked.filter(~pl.col("feature").str.starts_with(WORD))
    drawn = []
    words = ranked.filter(pl.col("feature").str.starts_with(WORD))
    if ranked.height:
        drawn.append(_bars(folder / HABITS_PLOT, {"habits": habits, "words": words}))
    months = rows.filter(pl.col("period") != "")
    if months["period"].n_unique() > 1 and habits.height:
        drawn.append(_over_time(folder / TIME_PLOT, months, habits["feature"][:LINES].to_list()))
    partners = rows.filter(pl.col("partner") != "", pl.col("distinction").is_not_null())
    if partners["partner"].n_unique() > 1 and habits.height:
        drawn.append(
            _by_partner(folder / PARTNERS_PLOT, partners, habits["feature"][:SHOWN].to_list())
        )
    return drawn


def draw_vocabulary(folder: Path, rows: pl.DataFrame) -> list[Path]:
    """The most characteristic words and phrases, and words never used, as a PNG in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    drawable = rows.filter(
        pl.Series([_drawable(term) for term in rows["term"]], dtype=pl.Boolean)
        if rows.height
        else pl.lit(True)
    ).sort(pl.col("z").abs(), pl.col("term"), descending=[True, False])
    kinds = [
        ("words", drawable.filter(pl.col("kind") == "word").head(SHOWN)),
        ("phrases", drawable.filter(pl.col("kind") == "phrase").head(SHOWN)),
        ("never", drawable.filter(pl.col("kind") == "never").head(SHOWN)),
    ]
    held = [(name, part) for name, part in kinds if part.height]
    if not held:
        return []
    figure, grid = _figure((3.6 * len(held), 5.6), 1, len(held))
    for (name, part), axes in zip(held, grid, strict=True):
        places = list(range(part.height))
        colour = _LESS if name == "never" else _MORE
        axes.barh(places, part["z"].to_list(), color=colour, height=0.7)
        axes.set_yticks(places, part["term"].to_list(), fontsize=8)
        axes.invert_yaxis()
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("z of the log-odds", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return [_save(figure, folder / WORDS_PLOT)]


def as_markdown(path: Path) -> str:
    """The picture as markdown that needs no file beside it."""
    encoded = base64.b64encode(path.read_bytes()).decode()
    return f"![{path.stem.replace('_', ' ')}](data:image/png;base64,{encoded})"


def _bars(path: Path, panels: Mapping[str, pl.DataFrame]) -> Path:
    held = {name: rows.head(SHOWN) for name, rows in panels.items() if rows.height}
    figure, grid = _figure((5.4 * len(held), 5.6), 1, len(held))
    for axes, (name, rows) in zip(grid, held.items(), strict=True):
        values = [max(-FAR, min(FAR, value)) for value in rows["distinction"]]
        places = list(range(len(values)))
        colours = [_MORE if value > 0 else _LESS for value in values]
        axes.barh(places, values, color=colours, height=0.7)
        labels = [
            _said(feature, value) for feature, value in zip(rows["feature"], values, strict=True)
        ]
        axes.set_yticks(places, labels, fontsize=8)
        axes.invert_yaxis()
        axes.axvline(0, color=_GREY, linewidth=0.8)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("standard deviations from other people", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return _save(figure, path)


def _over_time(path: Path, rows: pl.DataFrame, habits: Sequence[str]) -> Path:
    figure, grid = _figure((8.4, 4.2), 2, (len(habits) + 1) // 2)
    for axes, habit in zip(grid, habits, strict=False):
        part = rows.filter(pl.col("feature") == habit).sort("period")
        axes.plot(part["period"].to_list(), part["value"].to_list(), color=_MORE, marker="o", ms=3)
        others = part["background"].drop_nulls()
        if len(others):
            axes.axhline(others[0], color=_GREY, linestyle="dotted")
        axes.set_title(_label(habit), fontsize=8)
        axes.tick_params(labelsize=7, axis="both")
        axes.tick_params(axis="x", rotation=60)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(habits) :]:
        axes.set_visible(False)
    return _save(figure, path)


def _by_partner(path: Path, rows: pl.DataFrame, habits: Sequence[str]) -> Path:
    most = (
        rows.group_by("partner")
        .agg(pl.col("n").max())
        .sort("n", "partner", descending=[True, False])["partner"][:PARTNERS]
        .to_list()
    )
    cells = {
        (partner, feature): value
        for partner, feature, value in rows.select("partner", "feature", "distinction").iter_rows()
    }
    table = [[cells.get((partner, habit), float("nan")) for partner in most] for habit in habits]
    figure, (axes,) = _figure((7.2, 5.8), 1, 1)
    image = axes.imshow(table, cmap="RdYlGn", vmin=-FAR, vmax=FAR, aspect="auto")
    axes.set_xticks(
        range(len(most)), [name[:_NAME_LENGTH] for name in most], rotation=60, fontsize=7
    )
    axes.set_yticks(range(len(habits)), [_label(habit) for habit in habits], fontsize=8)
    figure.colorbar(image, ax=axes, label="standard deviations from other people")
    return _save(figure, path)


def _said(feature: str, distinction: float) -> str:
    """What is said of the habit, of a word the word."""
    known = FEATURES.get(feature)
    if known is None or feature.startswith(WORD):
        return _label(feature)
    words = known.high if distinction > 0 else known.low
    return words if _drawable(words) else _label(feature)


def _label(feature: str) -> str:
    name = feature.removeprefix(WORD)
    if name != feature:
        return f"“{name}”" if _drawable(name) else "(a Thai word)"
    return FEATURES[feature].name.replace("_", " ") if feature in FEATURES else feature


def _figure(size: tuple[float, float], rows: int, columns: int) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, list(grid.flat)


def _save(figure: Any, path: Path) -> Path:
    from matplotlib import rc_context

    with rc_context({"font.family": _fonts()}):
        figure.savefig(path)
    return path


def _drawable(term: str) -> bool:
    """Whether the fonts of this machine have every character; tables show the others."""
    known = _characters()
    return all(ord(character) in known for character in term)


@lru_cache(maxsize=1)
def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    wanted = ("Sarabun", "Noto Sans Thai", "Garuda", "Loma", "Tahoma", "Thonburi", "Leelawadee UI")
    present = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in wanted if name in present)]


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    faces = [get_font(findfont(FontProperties(family=name))) for name in _fonts()]
    return frozenset().union(*(face.get_charmap() for face in faces))
