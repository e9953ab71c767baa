"""Reports in a browser without a network: what their readers see, and by which means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from bids_fx.calls import Call, Failure
from bids_fx.derivatives import paths
from bids_fx.entities import Entities
from bids_fx.errors import Notice, Problem
from bids_fx.inputs import Absence
from bids_fx.records import MethodsText, Plan
from bids_fx.reports.html import write_report
from tests.browser import HOSTILE, LONG, Opened
from tests.small_plans import (
    make_contrast,
    make_group,
    make_plan,
    make_run,
    publish_all,
    publish_peaks,
    write_map,
    z_values,
)

pytestmark = pytest.mark.browser
Open = Callable[..., Opened]

METHODS = MethodsText(
    markdown="The runs were *modelled* one by one [@a1999].\n\n# Noise\n\nIt was white.\n",
    references=(("a1999", "A (1999). T & U."),),
    bibtex="",
)
SIZES = [(1280, False), (1280, True), (400, False), (400, True)]
#: Wider than any window here.
FIGURE = (1600, 500)


def write(out_dir: Path, *plans: Plan, failures: Sequence[Failure] = ()) -> Path:
    """Write the report of some analyses, the first with the failures."""
    calls = [
        Call(plan=plan, state="done", failures=tuple(failures) if index == 0 else ())
        for index, plan in enumerate(plans)
    ]
    return write_report(calls, out_dir, [METHODS] * len(calls))


def complete(out_dir: Path) -> Path:
    """Write the report of two runs with all that was planned, and a warning."""
    plan = make_plan(notices=(Notice(text="The first scan was brighter."),))
    publish_all(plan, out_dir)
    for figure in (out_dir / "sub-01" / "figures").glob("*.png"):
        Image.new("RGB", FIGURE, "black").save(figure)
    return write(out_dir, plan)


def failed(out_dir: Path) -> Path:
    """Write the report of a participant with everything that can be wrong."""
    absent = (
        Absence(entities=Entities((("task", "x"), ("run", "3"))), reason="it has no series"),
    )
    reasons = {"face": "no face was shown"}
    runs = (make_run("sub-01_task-x_run-1"), make_run("sub-01_task-x_run-2", reasons=reasons))
    problem = Problem(where="a_events.tsv", found="no column onset", remedy="add it")
    plan = make_plan(runs, absent=absent, problems=(problem,), notices=(Notice(text="Oh."),))
    failure = Failure(record="fitting run-1", message="killed", details=f"Traceback: {LONG}")
    return write(out_dir, plan, failures=[failure])


def many(out_dir: Path) -> Path:
    """Write the report of 24 runs in two sessions, with 8 contrasts at each of three groups."""
    contrasts = tuple(make_contrast(f"face{index}", face=1.0) for index in range(8))
    names = [f"sub-01_ses-{s}_task-x_run-{r:02d}" for s in "ab" for r in range(1, 13)]
    runs = [make_run(name, contrasts=contrasts) for name in names]
    groups = [
        make_group("sub-01_ses-a_task-x", runs[:12], level="session", key="session_a"),
        make_group("sub-01_ses-b_task-x", runs[12:], level="session", key="session_b"),
        make_group("sub-01_task-x", runs),
    ]
    return write(out_dir, make_plan(runs, groups))


def several(out_dir: Path) -> Path:
    """Write the report of two tasks that were analysed by calls of their own."""
    plans = [make_plan([make_run(f"sub-01_task-{t}_run-{r}") for r in (1, 2)], ()) for t in "xy"]
    return write(out_dir, *plans)


def hostile(out_dir: Path) -> Path:
    """Write the report of a participant whose conditions and contrasts have hostile names."""
    contrasts = [
        replace(make_contrast(name, **{name: 1.0}), label=f"hostile{index}")
        for index, name in enumerate(HOSTILE)
    ]
    run = make_run("sub-01_task-x_run-1", conditions=HOSTILE, contrasts=contrasts)
    run = replace(run, notes=HOSTILE)
    plan = make_plan((run,), notices=tuple(Notice(text=text) for text in HOSTILE))
    failures = [Failure(record=text, message=text, details=text) for text in HOSTILE]
    return write(out_dir, plan, failures=failures)


REPORTS = {"complete": complete, "failed": failed, "many": many, "several": several}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the reports by name."""
    makers = REPORTS | {"hostile": hostile}
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in makers.items()}


def visible(opened: Opened, selector: str) -> list[bool]:
    """Tell of each element whether it can be seen."""
    # What a script has just unfolded is seen from the next frame on, and a picture waits for it.
    opened.page.screenshot(clip={"x": 0, "y": 0, "width": 1, "height": 1})
    found = opened.page.evaluate(
        "selector => [...document.querySelectorAll(selector)].map(element => "
        "element.checkVisibility())",
        selector,
    )
    assert isinstance(found, list)
    return found


# --------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", [*REPORTS, "hostile"])
@pytest.mark.parametrize("javascript", [True, False])
def test_page_asks_for_nothing_and_has_no_error(
    open_page: Open, reports: dict[str, Path], name: str, javascript: bool
) -> None:
    opened = open_page(reports[name], javascript=javascript)
    opened.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    opened.page.wait_for_timeout(50)
    assert (opened.requests, opened.errors) == ([], [])


@pytest.mark.parametrize("name", [*REPORTS, "hostile"])
@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_page_is_no_wider_than_its_window_and_accessible(
    open_page: Open, reports: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    opened = open_page(reports[name], width=width, dark=dark)
    assert opened.overflow() == 0
    opened.page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert opened.overflow() == 0
    assert opened.violations() == []


@pytest.mark.parametrize("name", [*REPORTS, "hostile"])
def test_page_has_one_title_headings_without_gaps_and_ids_for_all_links(
    open_page: Open, reports: dict[str, Path], name: str
) -> None:
    page = open_page(reports[name]).page
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(h => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert [b for a, b in pairwise(levels) if b > a + 1] == []
    assert (
        page.evaluate(
            "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
            ".filter(goal => !goal.startsWith('#') || !document.getElementById(goal.slice(1)))"
        )
        == []
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))


# ----------------------------------------------------------------------------- hostile names


def test_hostile_names_are_shown_as_they_are(open_page: Open, reports: dict[str, Path]) -> None:
    opened = open_page(reports["hostile"], width=400)
    shown = opened.page.evaluate(
        "[...document.querySelectorAll('nav a, summary h4')].map(e => e.textContent.trim())"
    )
    for name in HOSTILE:
        assert shown.count(name) == 2  # in the menu and as a heading
    notices = opened.page.locator(".notices").inner_text()
    assert all(name in notices for name in HOSTILE)
    assert opened.page.evaluate("document.querySelectorAll('[src=\"x\"], [onerror]').length") == 0
    assert opened.page.evaluate("document.scripts.length") == 1


def test_script_that_is_not_the_pages_own_cannot_run(
    open_page: Open, reports: dict[str, Path], tmp_path: Path
) -> None:
    page = reports["complete"].read_text(encoding="utf-8")
    changed = tmp_path / "changed.html"
    changed.write_text(page.replace("</main>", "<script>alert(1)</script></main>"))
    (error,) = open_page(changed).errors
    assert "Content Security Policy" in error


# ------------------------------------------------------------------------- folds and the menu


def test_many_runs_are_folded_and_few_are_not(open_page: Open, reports: dict[str, Path]) -> None:
    assert visible(open_page(reports["many"]), "#runs section") == [False] * 24
    assert visible(open_page(reports["complete"]), "#runs section") == [True] * 2


def test_of_very_many_contrasts_only_the_best_is_unfolded(open_page: Open, tmp_path: Path) -> None:
    contrasts = tuple(make_contrast(f"face{index}", face=1.0) for index in range(13))
    plan = make_plan([make_run("sub-01_task-x", contrasts=contrasts)])
    publish_all(plan, tmp_path)
    z = z_values(1, 20.0)
    write_map(tmp_path / paths.statmap(plan.groups[0].entities, "face9", "z"), z)
    publish_peaks(plan, tmp_path)
    opened = open_page(write(tmp_path, plan))
    assert visible(opened, "#contrasts article") == [index == 9 for index in range(13)]
    opened.page.click("text=The highest combined z is 20.00, of face9.")
    assert opened.page.url.endswith("#analysis-1-group-1-contrast-10")


def test_of_many_contrasts_those_of_the_participant_are_unfolded(
    open_page: Open, reports: dict[str, Path]
) -> None:
    seen = visible(open_page(reports["many"]), "#contrasts article")
    assert seen == [True] * 8 + [False] * 16


@pytest.mark.parametrize("javascript", [True, False])
def test_link_unfolds_what_it_leads_to(
    open_page: Open, reports: dict[str, Path], javascript: bool
) -> None:
    opened = open_page(reports["many"], javascript=javascript)
    opened.page.click("nav a[href='#analysis-1-run-20']")
    assert visible(opened, "#runs section") == [False] * 19 + [True] + [False] * 4
    top = opened.page.evaluate(
        "document.getElementById('analysis-1-run-20').getBoundingClientRect().top"
    )
    assert 0 <= top <= 200


def test_address_with_a_goal_unfolds_it(open_page: Open, reports: dict[str, Path]) -> None:
    opened = open_page(reports["many"])
    opened.page.goto(f"{reports['many'].as_uri()}#analysis-1-run-7")
    assert visible(opened, "#analysis-1-run-7") == [True]


def test_all_runs_can_be_unfolded_and_folded_at_once(
    open_page: Open, reports: dict[str, Path]
) -> None:
    opened = open_page(reports["many"])
    opened.page.click("#runs > button")
    assert visible(opened, "#runs section") == [True] * 24
    opened.page.click("#runs > button")
    assert visible(opened, "#runs section") == [False] * 24


def test_menu_is_beside_the_text_or_folded_above_it(
    open_page: Open, reports: dict[str, Path]
) -> None:
    wide = open_page(reports["complete"])
    assert visible(wide, "nav a[href='#methods'], nav summary") == [False, True]
    narrow = open_page(reports["complete"], width=400)
    assert visible(narrow, "nav a[href='#methods'], nav summary") == [True, False]
    narrow.page.click("nav summary")
    narrow.page.click("nav a[href='#methods']")
    assert visible(narrow, "nav a[href='#methods']") == [False]
    top = narrow.page.evaluate("document.getElementById('methods').getBoundingClientRect().top")
    assert 0 <= top <= 100
    narrow.page.set_viewport_size({"width": 1280, "height": 900})
    assert visible(narrow, "nav a[href='#methods']") == [True]


def test_everything_can_be_read_without_scripts(open_page: Open, reports: dict[str, Path]) -> None:
    opened = open_page(reports["complete"], width=400, javascript=False)
    assert all(visible(opened, "nav a, main p, main table, main img"))
    assert opened.page.evaluate("document.querySelectorAll('button').length") == 0


# --------------------------------------------------------------------------------- keyboard


def tab_stops(opened: Opened, number: int) -> list[str]:
    """Return what the Tab key comes to, from the start of the page."""
    stops = []
    for _ in range(number):
        opened.page.keyboard.press("Tab")
        stops.append(
            opened.page.evaluate(
                "(e => e.getAttribute('href') ?? e.tagName + ' ' + e.textContent.trim())"
                "(document.activeElement)"
            )
        )
    return stops


def test_first_stop_of_the_keyboard_skips_to_the_summary(
    open_page: Open, reports: dict[str, Path]
) -> None:
    opened = open_page(reports["complete"])
    assert tab_stops(opened, 1) == ["#summary"]
    assert opened.page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    opened.page.keyboard.press("Enter")
    assert tab_stops(opened, 1) == ["#analysis-1-group-1-contrast-1"]


def test_keyboard_passes_through_the_whole_page_and_out_of_it(
    open_page: Open, reports: dict[str, Path]
) -> None:
    page = open_page(reports["failed"]).page
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        page.evaluate("document.activeElement.dataset.passed = 'yes'")
    else:
        pytest.fail("the keyboard does not leave the page")
    missed = """() => [...document.querySelectorAll('a, button, summary, [tabindex="0"]')]
      .filter(element => element.checkVisibility() && !element.dataset.passed)
      .map(element => element.outerHTML)"""
    assert page.evaluate(missed) == []
    assert page.locator("[data-passed]").count() > 20


def test_only_boxes_that_scroll_are_stops_of_the_keyboard(
    open_page: Open, reports: dict[str, Path]
) -> None:
    boxes = """() => [...document.querySelectorAll('.scroll')].filter(box => box.checkVisibility())
      .map(box => [box.scrollWidth > box.clientWidth, box.tabIndex === 0])"""
    page = open_page(reports["complete"], width=400).page
    # The page learns of its boxes' sizes with the next frame that is drawn.
    page.wait_for_function(f"() => ({boxes})().every(([scrolls, stops]) => scrolls === stops)")
    found = page.evaluate(boxes)
    assert {scrolls for scrolls, _ in found} == {True, False}
    assert all(scrolls == stops for scrolls, stops in found)


def test_focus_can_be_seen(open_page: Open, reports: dict[str, Path]) -> None:
    opened = open_page(reports["complete"])
    outlines = []
    for _ in range(12):
        opened.page.keyboard.press("Tab")
        outlines.append(
            opened.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        )
    assert set(outlines) == {"3px"}


# ----------------------------------------------------------------------- figures, text, paper


def test_wide_figure_scrolls_in_its_own_box_on_a_phone(
    open_page: Open, reports: dict[str, Path]
) -> None:
    image = open_page(reports["complete"], width=400).page.locator("figure.maps img").first
    assert image.evaluate("image => image.clientWidth") >= 800
    assert image.evaluate("image => image.parentElement.clientWidth") <= 400


def test_figure_can_be_seen_alone_and_left_by_the_keyboard(
    open_page: Open, reports: dict[str, Path]
) -> None:
    opened = open_page(reports["complete"], width=400)
    page = opened.page
    button = page.locator("figure.maps button").first
    button.focus()
    page.keyboard.press("Enter")
    assert visible(opened, "dialog img") == [True]
    assert page.locator("dialog").get_attribute("aria-label") == "face"
    assert page.locator("dialog img").evaluate("image => image.clientWidth") == FIGURE[0]
    assert opened.overflow() == 0
    assert opened.violations() == []
    page.keyboard.press("Escape")
    assert visible(opened, "dialog img") == [False]
    assert button.evaluate("button => button === document.activeElement")


def test_place_of_a_figure_is_kept_before_it_is_drawn(
    open_page: Open, reports: dict[str, Path]
) -> None:
    image = open_page(reports["complete"]).page.locator("figure.maps img").first
    height, width = image.evaluate("image => [image.height, image.width]")
    assert height == pytest.approx(width * FIGURE[1] / FIGURE[0], abs=1)
    assert image.get_attribute("width") == str(FIGURE[0])


def test_text_of_methods_is_copied(open_page: Open, reports: dict[str, Path]) -> None:
    page = open_page(reports["complete"]).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("text=Copy the text")
    page.wait_for_selector("text=Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("The runs were modelled one by one [1].")
    assert "A (1999). T & U." in copied


@pytest.mark.parametrize(
    ("can_copy", "said"), [("true", "Copied."), ("false", "Selected: copy it with Ctrl+C")]
)
def test_text_of_methods_is_selected_where_the_clipboard_is_closed(
    open_page: Open, reports: dict[str, Path], can_copy: str, said: str
) -> None:
    page = open_page(reports["complete"]).page
    page.evaluate(
        "void (navigator.clipboard.writeText = () => Promise.reject(new Error('closed')))"
    )
    page.evaluate(f"void (document.execCommand = () => {can_copy})")
    page.click("text=Copy the text")
    page.wait_for_selector(f"text={said}")
    assert page.evaluate("getSelection().toString()").startswith("The runs were modelled")


def test_paper_shows_everything_without_navigation(
    open_page: Open, reports: dict[str, Path]
) -> None:
    opened = open_page(reports["many"])
    opened.page.emulate_media(media="print", color_scheme="dark")
    assert visible(opened, "nav, button, .skip, .top a") == [False] * len(
        visible(opened, "nav, button, .skip, .top a")
    )
    assert visible(opened, "#runs section") == [True] * 24
    colours = opened.page.evaluate(
        "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
    )
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


def test_no_figure_is_wider_than_the_paper(open_page: Open, reports: dict[str, Path]) -> None:
    page = open_page(reports["complete"], width=640).page
    page.emulate_media(media="print")
    page.evaluate("document.querySelectorAll('figure img').forEach(img => img.width = 891)")
    wider = page.evaluate(
        "[...document.querySelectorAll('figure')].map(figure =>"
        " figure.querySelector('img').offsetWidth - figure.offsetWidth)"
    )
    assert len(wider) > 5
    assert max(wider) <= 0


def test_page_is_folded_again_after_printing(open_page: Open, reports: dict[str, Path]) -> None:
    opened = open_page(reports["many"])
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert visible(opened, "#runs section") == [True] * 24
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert visible(opened, "#runs section") == [False] * 24


def test_header_leads_to_what_is_wrong(open_page: Open, reports: dict[str, Path]) -> None:
    page = open_page(reports["failed"]).page
    tiles = page.evaluate(
        "[...document.querySelectorAll('.tiles a')]"
        ".map(a => [a.textContent.trim().split(/\\s+/).slice(-2).join(' '), a.hash, a.className])"
    )
    found = {name: (goal, state) for name, goal, state in tiles}
    assert found["left out"] == ("#summary", "warning")
    assert found["outputs written"] == ("#errors-missing", "bad")
    assert found["1 warning"] == ("#errors-notices", "warning")
    assert found["2 errors"] == ("#errors", "bad")


def test_several_analyses_stand_under_their_own_headings(
    open_page: Open, reports: dict[str, Path]
) -> None:
    page = open_page(reports["several"]).page
    for section in ("summary", "contrasts", "runs", "methods", "provenance"):
        titles = page.locator(f"#{section} > h3").all_inner_texts()
        assert titles == ["Analysis 1", "Analysis 2"]
    assert page.locator("#analysis-2-ref-1").count() == 1


@pytest.mark.parametrize("name", [*REPORTS, "hostile"])
@pytest.mark.parametrize("width", [400, 1280])
def test_no_cell_stands_out_of_its_column(
    open_page: Open, reports: dict[str, Path], name: str, width: int
) -> None:
    page = open_page(reports[name], width=width).page
    page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    cells = """() => [...document.querySelectorAll('th, td')]
      .filter(cell => cell.scrollWidth > cell.clientWidth).map(cell => cell.outerHTML)"""
    assert page.evaluate(cells) == []
