"""The browser of the tests: that it sees what a page asks for and what goes wrong in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import browser
from tests.browser import Opened

pytestmark = pytest.mark.browser
Open = Callable[..., Opened]
HEAD = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>A page</title>'


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Return what writes the body of a page to a file."""

    def write_page(body: str) -> Path:
        path = tmp_path / "page.html"
        path.write_text(f"{HEAD}</head><body><main><h1>A page</h1>{body}</main></body></html>")
        return path

    return write_page


def test_own_file_and_data_in_it_are_no_requests(
    open_page: Open, write: Callable[[str], Path]
) -> None:
    pixel = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
    opened = open_page(write(f'<img alt="A dot" src="{pixel}"><a href="#x">x</a>'))
    opened.page.click("a")
    assert opened.page.evaluate("document.images[0].naturalWidth") == 1
    assert (opened.requests, opened.errors) == ([], [])


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ('<img alt="" src="http://example.org/a.png">', "http://example.org/a.png"),
        ('<link rel="stylesheet" href="https://example.org/a.css">', "https://example.org/a.css"),
        ("<script>fetch('http://example.org/f').catch(() => 0)</script>", "http://example.org/f"),
        ('<script src="beside.js"></script>', "beside.js"),
        ("<script>new WebSocket('ws://example.org/')</script>", "ws://example.org/"),
    ],
)
def test_whatever_else_is_asked_for_is_written_down_and_refused(
    open_page: Open, write: Callable[[str], Path], tmp_path: Path, body: str, asked: str
) -> None:
    (tmp_path / "beside.js").write_text("document.title = 'It ran'")
    opened = open_page(write(body))
    for _ in range(100):  # what a script asks for may come after the page is loaded
        if opened.requests:
            break
        opened.page.wait_for_timeout(50)
    assert [url for url in opened.requests if url.endswith(asked)] == opened.requests
    assert len(opened.requests) == 1
    assert opened.page.title() == "A page"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("console.error('so bad')", "so bad"),
        ("throw new Error('thrown')", "thrown"),
        ("alert('hello')", "dialog: hello"),
    ],
)
def test_errors_and_dialogs_are_written_down(
    open_page: Open, write: Callable[[str], Path], script: str, error: str
) -> None:
    opened = open_page(write(f"<script>{script}</script>"))
    assert [error in text for text in opened.errors] == [True]


@pytest.mark.parametrize("webgl", [True, False])
def test_webgl_is_there_or_not_as_told(
    open_page: Open, write: Callable[[str], Path], webgl: bool
) -> None:
    opened = open_page(write("<canvas></canvas>"), webgl=webgl)
    found = opened.page.evaluate("document.querySelector('canvas').getContext('webgl2') !== null")
    assert found is webgl


@pytest.mark.parametrize("dark", [True, False])
def test_page_has_the_size_and_colours_asked_for(
    open_page: Open, write: Callable[[str], Path], dark: bool
) -> None:
    opened = open_page(write(""), width=400, height=700, dark=dark)
    size = opened.page.evaluate("[innerWidth, innerHeight]")
    assert size == [400, 700]
    assert opened.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is dark


def test_scripts_run_only_where_they_may(open_page: Open, write: Callable[[str], Path]) -> None:
    path = write("<script>document.title = 'It ran'</script>")
    assert open_page(path).page.title() == "It ran"
    assert open_page(path, javascript=False).page.title() == "A page"


def test_overflow_is_what_stands_out_of_the_window(
    open_page: Open, write: Callable[[str], Path]
) -> None:
    assert open_page(write("<p>Narrow.</p>"), width=400).overflow() == 0
    wide = write('<div style="position: absolute; left: 0; width: 450px; height: 1px"></div>')
    assert open_page(wide, width=400).overflow() == 50


def test_violations_of_accessibility_are_named(
    open_page: Open, write: Callable[[str], Path]
) -> None:
    assert open_page(write("<p>Plain text.</p>")).violations() == []
    (violation,) = open_page(write('<p style="color: #bbb">Hardly to be seen</p>')).violations()
    assert violation.startswith("color-contrast: ")
    assert "Hardly to be seen" in violation


def test_what_npm_cannot_give_fails_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "CACHE", tmp_path / "axe.min.js")
    with pytest.raises(pytest.fail.Exception, match=r"npm is not installed.*make browser"):
        browser.axe.__wrapped__()


@pytest.mark.parametrize("named", [None, "no-such-browser"])
def test_missing_browser_fails_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    if named:
        monkeypatch.setenv("CHROMIUM", named)
    with pytest.raises(pytest.fail.Exception, match="make tools") as caught:
        browser.find_chromium()
    assert (named or "google-chrome-stable") in str(caught.value)
