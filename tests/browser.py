"""Pages as their readers see them: in the system's Chromium, with the network off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_build import NpmFile, ViewerError, obtain

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Request, Route

ROOT = Path(__file__).parent.parent
#: Where it is kept between tests; git does not see it.
CACHE = ROOT / ".npm" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: WebGL is drawn by the processor, which is the same on every machine; /dev/shm may be small.
ARGUMENTS = (
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
    "--disable-dev-shm-usage",
)
#: A browser without WebGL as a page meets it: no canvas has such a context.
NO_WEBGL = """
for (const canvas of [HTMLCanvasElement, OffscreenCanvas]) {
  const getContext = canvas.prototype.getContext;
  canvas.prototype.getContext = function (kind, ...rest) {
    return kind.includes("webgl") ? null : getContext.call(this, kind, ...rest);
  };
}
"""
AXE = NpmFile(
    package="axe-core@4.14.1",
    sha512="FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    member="package/axe.min.js",
    sha256="29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
)
#: Names that pages must show as text, as they are.
LONG = "x" * 200
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'",
    LONG,
    "وجه مقابل بيت",
    "人脸 🙂 減 房屋",
    "{{ 7*7 }}",
    "</style></script>",
)
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A page in the browser, what it asked for beyond its own file, and what went wrong in it.

    Parameters
    ----------
    page : playwright.sync_api.Page
        The page, loaded.
    requests : list of str
        Addresses of all that was asked for but the file itself, ``data:`` and ``blob:``; grows.
    errors : list of str
        Errors of the console and of scripts, and dialogs; grows.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Return what breaks WCAG 2 A or AA: each rule with the elements that break it."""
        self.page.evaluate(axe())
        found = self.page.evaluate(
            """async tags => {
              const {violations} = await axe.run({runOnly: {type: "tag", values: tags}});
              return violations.flatMap(({id, help, nodes}) => nodes.map(
                node => `${id}: ${help}: ${node.html.slice(0, 300)} ${node.failureSummary}`));
            }""",
            list(WCAG),
        )
        assert isinstance(found, list)
        return found

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return int(
            self.page.evaluate(
                "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )


def find_chromium() -> str:
    """Return the path of the system's Chromium; fail the test where there is none."""
    named = os.environ.get("CHROMIUM")
    for name in (named,) if named else NAMES:
        if found := shutil.which(name):
            return found
    looked = f"CHROMIUM={named} is no program" if named else f"none of {', '.join(NAMES)} is there"
    pytest.fail(
        f"These tests open pages in Chromium, and {looked}. Install it (`make tools` as root "
        "on Debian and Ubuntu), or name it: CHROMIUM=/path/to/chromium",
        pytrace=False,
    )


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Start Chromium; close it afterwards, and with it all that playwright started."""
    from playwright.sync_api import sync_playwright

    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    path: Path,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    webgl: bool = True,
    javascript: bool = True,
) -> Iterator[Opened]:
    """Open a file as a double click would, without a network.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
        Chromium.
    path : Path
        The page.
    width, height : int
        Size of the window in CSS pixels.
    dark : bool
        Whether the reader prefers dark pages.
    webgl : bool
        Whether canvases can draw by WebGL.
    javascript : bool
        Whether scripts may run.
    """
    address = path.resolve().as_uri()
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",  # what a test clicks must not be on its way
        java_script_enabled=javascript,
        offline=True,
    )
    try:
        if not webgl:
            context.add_init_script(NO_WEBGL)
        page = context.new_page()
        record = Opened(page=page)
        _listen(record, address)
        page.goto(address, wait_until="load")
        yield record
    finally:
        context.close()


def _listen(record: Opened, address: str) -> None:
    """Write down what a page asks for and what goes wrong in it; let it have its own file only."""

    def is_own(url: str) -> bool:
        return url.partition("#")[0] == address or url.startswith(("data:", "blob:"))

    def on_route(route: Route) -> None:
        if is_own(route.request.url):
            route.continue_()
        else:
            route.abort()

    def on_request(request: Request) -> None:
        if not is_own(request.url):
            record.requests.append(request.url)

    def on_dialog(dialog: Dialog) -> None:
        record.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page = record.page
    page.context.route("**/*", on_route)
    page.context.on("request", on_request)
    page.on("websocket", lambda socket: record.requests.append(socket.url))
    page.on("pageerror", lambda error: record.errors.append(str(error)))
    page.on("crash", lambda _: record.errors.append("the page crashed"))
    page.on("dialog", on_dialog)
    page.on(
        "console",
        lambda message: record.errors.append(message.text) if message.type == "error" else None,
    )


@cache
def axe() -> str:
    """Return the script that checks a page's accessibility (axe-core), from npm or the cache."""
    try:
        obtain(AXE, CACHE)
    except ViewerError as error:
        pytest.fail(
            f"npm fetches what pages are checked with: {error}. Install npm (`make browser` as "
            "root on Debian and Ubuntu) and see that it reaches its registry",
            pytrace=False,
        )
    return CACHE.read_text(encoding="utf-8")
