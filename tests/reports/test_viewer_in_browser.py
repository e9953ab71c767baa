"""The viewer as a reader meets it: in Chromium, without a network."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from bids_fx.calls import Call
from bids_fx.derivatives import paths
from bids_fx.records import MethodsText, Plan
from bids_fx.report_settings import ReportSettings
from bids_fx.reports.html import write_report
from tests.browser import Opened
from tests.small_plans import (
    FACE,
    SHAPE,
    make_group,
    make_plan,
    make_run,
    publish_all,
    write_map,
    z_values,
)

pytestmark = pytest.mark.browser
Open = Callable[..., Opened]
METHODS = MethodsText(markdown="Done.\n", references=(), bibtex="")
HOSTILE = replace(
    FACE, name="</script><img src=x onerror=alert(1)> & 顔", label="hostile", formula="face"
)
MINUS = "\N{MINUS SIGN}"
PEAK = f"(3, {MINUS}1, 0) mm: z = 8.00"


def make_report(out_dir: Path, **changes: object) -> Path:
    """Write the report of two runs with two contrasts; the second peaks at another place."""
    runs = [make_run(f"sub-01_task-x_run-{n}", contrasts=[FACE, HOSTILE]) for n in (1, 2)]
    plan = make_plan(runs, (make_group("sub-01_task-x", runs),), **changes)
    publish_all(plan, out_dir)
    group = plan.groups[0].entities
    z = z_values(3, 11.257, place=(1, 2, 3))
    write_map(out_dir / paths.statmap(group, "hostile", "z"), z)
    for run in plan.runs:
        shades = np.random.default_rng(1).uniform(200, 800, SHAPE)
        write_map(out_dir / paths.mean_image(run.entities), shades)
    return _write(plan, out_dir)


def _write(plan: Plan, out_dir: Path) -> Path:
    return write_report([Call(plan=plan, state="done")], out_dir, [METHODS])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_report(tmp_path_factory.mktemp("out"))


def start(opened: Opened) -> Page:
    page = opened.page
    page.click("text=Start the viewer")
    expect(page.locator("#viewer-place")).to_contain_text("=", timeout=60_000)
    return page


def picture(page: Page) -> bytes:
    """Return the slices as they are seen, once nothing changes any more."""
    page.wait_for_timeout(300)
    return page.locator("#viewer-canvas").screenshot()


def test_viewer_starts_without_a_request_or_an_error(open_page: Open, report: Path) -> None:
    opened = open_page(report)
    page = start(opened)
    expect(page.locator("#viewer-place")).to_have_text(PEAK)
    expect(page.locator("#viewer-status")).to_have_text("")
    # Besides black and greys: the peak in yellow, and the crosshair in green.
    image = Image.open(io.BytesIO(picture(page))).convert("RGB")
    red, green, blue = np.moveaxis(np.asarray(image).astype(int), -1, 0)
    assert np.count_nonzero(red - blue > 100) > 100
    assert np.count_nonzero(green - red > 100) > 100
    assert (opened.requests, opened.errors) == ([], [])


def test_nothing_of_the_viewer_runs_before_it_is_asked_for(open_page: Open, report: Path) -> None:
    page = open_page(report).page
    expect(page.locator("text=Start the viewer")).to_be_visible()
    assert page.evaluate("() => typeof globalThis.niivue") == "undefined"
    expect(page.locator("#viewer-panel")).to_have_count(0)


def test_another_contrast_is_another_map(open_page: Open, report: Path) -> None:
    page = start(open_page(report))
    before = picture(page)
    page.select_option("#viewer-contrast", label=HOSTILE.name)
    expect(page.locator("#viewer-place")).not_to_have_text(PEAK)
    page.click("text=Go to the peak")
    # Of (1, 2, 3): 9 - 3, -10 + 6, -8 + 12; 11.257 to two decimals.
    expect(page.locator("#viewer-place")).to_have_text(f"(6, {MINUS}4, 4) mm: z = 11.26")
    assert picture(page) != before


def test_run_and_statistic_can_be_chosen_and_the_place_stays(
    open_page: Open, report: Path
) -> None:
    page = start(open_page(report))
    place, first = page.locator("#viewer-place"), page.locator("#viewer-threshold-name")
    expect(first).to_contain_text("(starts at the report\u2019s, ")
    page.select_option("#viewer-result", "run-2")
    expect(place).to_have_text(f"(3, {MINUS}1, 0) mm: z = 6.00")
    page.select_option("#viewer-statistic", "effect")
    expect(first).to_contain_text("(starts where 95 % of the voxels have no colour)")
    expect(place).to_have_text(re.compile(r"effect = 0\.60\d*\s% signal change$"))
    page.select_option("#viewer-result", "combined (2 runs)")
    expect(place).to_have_text(re.compile(r"effect = 0\.80\d*\s% signal change$"))
    assert page.input_value("#viewer-statistic") == "effect"


@pytest.mark.parametrize(("width", "share"), [(400, 0.95), (1280, 0.3)])
def test_names_of_what_is_shown_have_room_and_are_told_whole(
    open_page: Open, report: Path, width: int, share: float
) -> None:
    page = start(open_page(report, width=width))
    box = page.locator("#viewer-group").bounding_box()
    panel = page.locator("#viewer-panel").bounding_box()
    assert box["width"] >= share * panel["width"]
    page.select_option("#viewer-contrast", label=HOSTILE.name)
    expect(page.locator("#viewer-contrast")).to_have_attribute("title", HOSTILE.name)


def test_slider_and_number_move_the_threshold(open_page: Open, report: Path) -> None:
    page = start(open_page(report))
    assert page.input_value("#viewer-threshold") == "3.29"
    expect(page.locator("#viewer-hot-ends")).to_have_text("3.29 to 8.00")
    before = picture(page)
    page.locator("#viewer-threshold").focus()
    page.keyboard.press("End")
    expect(page.locator("#viewer-threshold-number")).to_have_value("8.00")
    expect(page.locator("#viewer-hot-ends")).to_have_text("8.00 to 8.01")
    assert picture(page) != before
    page.fill("#viewer-threshold-number", "3.29")
    expect(page.locator("#viewer-threshold")).to_have_value("3.29")
    assert picture(page) == before
    page.fill("#viewer-threshold-number", "4.5")
    page.select_option("#viewer-result", "run-1")
    expect(page.locator("#viewer-place")).to_contain_text("5.00")
    assert page.input_value("#viewer-threshold") == "4.5"


def test_each_control_changes_the_picture(open_page: Open, report: Path) -> None:
    page = start(open_page(report))
    page.fill("#viewer-threshold-number", "0.5")
    page.select_option("#viewer-sign", "negative")
    page.click("text=Go to the peak")
    page.select_option("#viewer-sign", "both")
    seen = [picture(page)]
    page.select_option("#viewer-sign", "positive")
    seen.append(picture(page))
    expect(page.locator("#viewer-cold")).to_be_hidden()
    page.select_option("#viewer-sign", "negative")
    expect(page.locator("#viewer-hot")).to_be_hidden()
    seen.append(picture(page))
    page.select_option("#viewer-sign", "both")
    page.uncheck("#viewer-ground")
    seen.append(picture(page))
    page.check("#viewer-ground")
    page.fill("#viewer-opacity", "30")
    seen.append(picture(page))
    page.check("#viewer-radiological")
    expect(page.locator("#viewer-convention")).to_contain_text("is right of the body")
    seen.append(picture(page))
    assert len(set(seen)) == len(seen)


def test_lowest_value_is_the_peak_of_the_negative_ones(open_page: Open, report: Path) -> None:
    page = start(open_page(report))
    page.select_option("#viewer-sign", "negative")
    page.click("text=Go to the peak")
    expect(page.locator("#viewer-place")).to_have_text(f"({MINUS}6, 8, 8) mm: z = {MINUS}4.00")


def test_crosshair_moves_by_keys_and_tells_where_there_is_no_result(
    open_page: Open, report: Path
) -> None:
    page = start(open_page(report))
    place = page.locator("#viewer-place")
    page.locator("#viewer-canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(place).to_contain_text(f"(6, {MINUS}1, 0) mm: z = ")
    page.keyboard.press("ArrowUp")
    expect(place).to_contain_text("(6, 2, 0) mm")
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    expect(place).to_have_text(f"(6, 2, {MINUS}8) mm: no result here")
    page.check("#viewer-radiological")
    page.locator("#viewer-canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(place).to_contain_text(f"(3, 2, {MINUS}8) mm")


def test_click_moves_the_crosshair_to_a_voxel(open_page: Open, report: Path) -> None:
    page = start(open_page(report))
    # Left of the crosshair in the first slice, the axial one, of three side by side.
    page.locator("#viewer-canvas").click(position={"x": 90, "y": 180})
    place = page.locator("#viewer-place")
    expect(place).not_to_have_text(PEAK)
    # Voxels are 3 x 3 x 4 mm, one has its centre at 0, -1, 0.
    found = re.match(r"\((.*)\) mm", place.inner_text().replace(MINUS, "-"))
    assert found is not None
    x, y, z = map(int, found[1].split(","))
    assert x < 3
    assert (x % 3, y % 3, z) == (0, 2, 0)


def test_names_of_the_data_are_text(open_page: Open, report: Path) -> None:
    opened = open_page(report)
    page = start(opened)
    names = page.locator("#viewer-contrast option").all_text_contents()
    assert names == ["face", HOSTILE.name]
    assert page.locator("#viewer img").count() == 0
    assert opened.errors == []


def test_browser_without_webgl_says_so(open_page: Open, report: Path) -> None:
    opened = open_page(report, webgl=False)
    expect(opened.page.locator("#viewer-status")).to_contain_text("no WebGL 2")
    expect(opened.page.locator("#viewer-status")).to_contain_text("figures show the maps")
    expect(opened.page.locator("text=Start the viewer")).to_be_hidden()
    assert (opened.requests, opened.errors) == ([], [])


def test_browser_without_scripts_says_so(open_page: Open, report: Path) -> None:
    page = open_page(report, javascript=False).page
    expect(page.locator("#viewer")).to_contain_text("It needs JavaScript")
    expect(page.locator("text=Start the viewer")).to_be_hidden()


def test_report_without_a_viewer_holds_nothing_of_it(open_page: Open, tmp_path: Path) -> None:
    path = make_report(tmp_path, report=ReportSettings(static=True))
    assert re.findall('id="(viewer.*?)"', path.read_text()) == ["viewer", "viewer-title"]
    assert "niivue" not in path.read_text().lower()
    expect(open_page(path).page.locator("#viewer")).to_contain_text("left out by choice")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_viewer_is_accessible_and_fits(
    open_page: Open, report: Path, width: int, dark: bool
) -> None:
    opened = open_page(report, width=width, dark=dark)
    start(opened)
    assert opened.violations() == []
    assert opened.overflow() == 0
