"""What the page is made of, without a browser: every file is served, and none asks elsewhere."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from rich.console import Console

from twin_pipelines.commands import up
from twin_pipelines.serving import page
from twin_pipelines.serving.access import bearer_token
from twin_pipelines.serving.page.routes import MEDIA_TYPES, address, page_routes
from twin_pipelines.serving.refusals import tell_refusals
from twin_pipelines.settings import TwinSettings

FOLDER = Path(page.__file__).parent
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES)


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    tell_refusals(app)
    app.include_router(page_routes())
    return TestClient(app)


def test_the_page_and_all_it_names_are_served_under_a_strict_policy(client: TestClient) -> None:
    first = client.get("/")
    assert first.status_code == 200 and "<title>Twin</title>" in first.text
    named = re.findall(r'(?:href|src)="(/[^"]+)"', first.text)
    named += [f"/page/{path.name}" for path in FILES]
    imported = re.findall(r'from "\./([^"]+)"', "".join(path.read_text() for path in FILES))
    for path in [*named, *(f"/page/{name}" for name in imported)]:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].startswith(MEDIA_TYPES[Path(path).suffix][:8])
    policy = first.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "*" not in policy


@pytest.mark.parametrize("name", ["none.js", "routes.py", "__init__.py", "..%2Frefusals.py"])
def test_nothing_but_the_page_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/page/{name}").status_code == 404


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_another_machine_or_makes_markup_of_words(path: Path) -> None:
    written = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"^\s*//.*|\s// .*", "", written, flags=re.MULTILINE)
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|style=", written)
    assert not re.search(r"<script(?! type=\"module\" src)|\son[a-z]+=", written)


def test_both_languages_have_every_text() -> None:
    written = (FOLDER / "words.js").read_text(encoding="utf-8")
    english, thai = written.split("  th: {")
    thai = thai.split("const KEPT")[0]
    names = [
        set(re.findall(r"(?:^|[,{] ?)\s*([a-z_]+): [\"({a-z]", part, re.M))
        for part in (english, thai)
    ]
    assert names[0] - {"en"} == names[1] and len(names[1]) > 50


def test_the_token_stands_where_no_server_is_sent_it() -> None:
    assert address("http://127.0.0.1:8765", "a-b_c") == "http://127.0.0.1:8765/#token=a-b_c"


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_is_told_the_address_with_the_token(tmp_path: Path, terminal: bool) -> None:
    settings = TwinSettings(home=tmp_path)
    console = Console(file=io.StringIO(), force_terminal=terminal, color_system=None, width=40)
    service = up.Service(up.TWIN, (), "http://127.0.0.1:8765", "/health")
    up._print_addresses(console, settings, [service], tmp_path)
    assert isinstance(console.file, io.StringIO)
    whole = address(service.address, bearer_token(settings))
    assert (whole in console.file.getvalue()) == terminal
