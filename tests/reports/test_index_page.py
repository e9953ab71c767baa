"""The page of all participants, as it is written and as its readers use it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bids_fx.derivatives import paths
from bids_fx.derivatives.dataset import write_state
from bids_fx.derivatives.standings import participants_in, read_standing
from bids_fx.derivatives.write import write_json
from bids_fx.report_settings import QualityLimit
from bids_fx.reports.index import index_html
from bids_fx.standing import Overview, Standing
from tests.browser import Opened
from tests.small_outputs import fail, finish, plan_of

LIMIT = QualityLimit(measure="fd_mean", sign=">", value=0.6)
HOSTILE = "<script>alert(\"x\")</script> & 'quotes' \u202e " + "w" * 200

Open = Callable[..., Opened]


class Ids(HTMLParser):
    """Gathers ids, links within the page and every attribute that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.goals: set[str] = set()
        self.files: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            elif name == "href" and value:
                (self.goals.add if value.startswith("#") else self.files.append)(value)
            elif name in {"src", "srcset", "data", "action", "style"} or name.startswith("on"):
                self.loads.append(f"{tag} {name}")


def without_results(out: Path, label: str) -> None:
    """Leave what a call leaves whose runs all failed."""
    plan = fail(out, label, "it failed")
    for run in plan.runs:
        for path in (*paths.run_images(run), paths.quality(run.entities)):
            (out / path).unlink(missing_ok=True)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return an output folder with participants in all states and two settings."""
    for label in ("01", "02", "10"):
        finish(tmp_path, label)
    finish(
        tmp_path,
        "03",
        plan=plan_of("03", noise_model="ols"),
        measures=({"fd_mean": 0.75, "tsnr_median": 9.5},),
    )
    fail(tmp_path, "04", HOSTILE)
    write_state(tmp_path, "05", "running")
    (tmp_path / "sub-06").mkdir()
    return tmp_path


def overview(out: Path, *limits: QualityLimit) -> Overview:
    standings = [read_standing(out, label, limits) for label in participants_in(out)]
    standings.append(Standing(participant="11", state="not started"))
    return Overview(standings=tuple(standings), limits=limits)


def written(out: Path, *limits: QualityLimit) -> Path:
    path = out / paths.INDEX
    path.write_text(index_html(overview(out, *limits)))
    return path


def plain(html: str) -> str:
    """Return the text of a page on one line, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


# ----------------------------------------------------------------------------- as it is written


def test_every_participant_has_a_row_and_those_with_a_report_a_link(out: Path) -> None:
    found = Ids(index_html(overview(out)))
    assert set(found.files) == {f"sub-{label}.html" for label in ("01", "02", "03", "04", "10")}
    rows = re.findall(r'<th scope="row">(?:<a [^>]*>)?(sub-\d+)', index_html(overview(out)))
    assert rows == [f"sub-{n}" for n in ("01", "02", "03", "04", "05", "06", "10", "11")]


def test_links_lead_to_parts_of_the_page_and_no_id_is_used_twice(out: Path) -> None:
    found = Ids(index_html(overview(out, LIMIT)))
    assert {goal.removeprefix("#") for goal in found.goals} <= set(found.ids)
    assert len(set(found.ids)) == len(found.ids)


def test_nothing_is_loaded_and_no_attribute_is_code(out: Path) -> None:
    html = index_html(overview(out, LIMIT))
    assert Ids(html).loads == []
    assert not re.search(r"url\(|@import|https?:", html)


def test_policy_allows_the_one_script_by_its_hash(out: Path) -> None:
    html = index_html(overview(out))
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in html.replace("'", "&#39;").replace(
        "&#43;", "+"
    )
    assert "default-src" in html


def test_texts_of_the_data_are_shown_as_text(out: Path) -> None:
    html = index_html(overview(out))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; &#39;quotes&#39;" in html


def test_failures_are_listed_with_participant_and_reason(out: Path) -> None:
    text = plain(index_html(overview(out, LIMIT)))
    assert "sub-03 : task-x_run-1: fd_mean is 0.75, above 0.6" in text
    assert "sub-06 (unknown): nothing here says what was done" in text
    assert "fd_mean>0.6: 2 of 9 measured runs break it." in text


def test_limit_of_what_some_or_all_runs_do_not_have_says_so(out: Path) -> None:
    limits = [
        QualityLimit(measure=name, sign=">", value=1e-3) for name in ("white_median", "vif_max")
    ]
    write_json(out / paths.quality(plan_of("01").runs[0].entities), {"vif_max": 2.0})
    text = plain(index_html(overview(out, *limits)))
    assert "white_median>0.001: 0 of 0 measured runs break it; 9 runs have no value of it." in text
    assert "vif_max>0.001: 1 of 1 measured run breaks it; 8 runs have no value of it." in text


@pytest.mark.parametrize(
    ("labels", "state", "verdict"),
    [
        (("01", "02"), "good", "Complete: 2 participants, all done."),
        (("01", "05"), "warning", "Of 2 participants, 1 is not done yet."),
        (("01", "04", "06"), "bad", "Of 3 participants, 1 has failed and 1 is unknown."),
        (("06", "01"), "bad", "Of 2 participants, 1 is unknown."),
        (("04", "05"), "bad", "Of 2 participants, 1 has failed and 1 is not done yet."),
        (
            ("04", "05", "06", "09"),
            "bad",
            "Of 4 participants, 1 has failed, 2 are unknown and 1 is not done yet.",
        ),
    ],
)
def test_verdict_is_true_of_all(
    out: Path, labels: tuple[str, ...], state: str, verdict: str
) -> None:
    standings = tuple(read_standing(out, label) for label in labels)
    html = index_html(Overview(standings=standings))
    assert f'<p class="verdict {state}">{verdict}</p>' in html


def test_who_has_other_settings_is_named_with_what_differs(out: Path) -> None:
    text = plain(index_html(overview(out)))
    assert re.search(
        r"Of 5 participants with results, 1 has others than those of analysis \w{8} alone\.", text
    )
    assert re.search(
        r"sub-03 has results of another analysis: \w{8}: noise_model ols, not ar1", text
    )


def test_participant_with_two_analyses_is_named_and_who_has_no_results_is_not(
    tmp_path: Path,
) -> None:
    for space, width in (("A", 0.0), ("B", 10.0)):
        finish(tmp_path, "01", plan=plan_of("01", space=space, smoothing_fwhm_mm=width))
    without_results(tmp_path, "02")
    text = plain(index_html(overview(tmp_path)))
    assert "Of 1 participant with results, 1 has others" in text
    assert re.search(
        r"sub-01 has results of 2 analyses: \w{8}: smoothing_fwhm_mm 10, not 0 ", text
    )
    (told,) = re.findall(r"analysis \w{8} alone\..*compare within one analysis only\. (.*)", text)
    assert "sub-02" not in told


def test_where_all_have_the_same_settings_that_is_said(out: Path) -> None:
    standings = tuple(read_standing(out, label) for label in ("01", "02"))
    text = plain(index_html(Overview(standings=standings)))
    assert "All 2 participants have results of one analysis." in text
    assert "other settings" not in text


def test_one_of_a_kind_is_told_in_the_singular(tmp_path: Path) -> None:
    plan = fail(tmp_path, "01", "it failed")
    for path in paths.run_images(plan.runs[1]):
        (tmp_path / path).touch()
    (tmp_path / paths.mask(plan.runs[0].entities)).unlink()
    (tmp_path / paths.quality(plan.runs[1].entities)).touch()
    text = plain(index_html(overview(tmp_path)))
    for told in ("2 participants", "1 run used", "1 run left out", "1 output missing"):
        assert f" {told} " in text


def test_folder_without_any_result_has_a_page(tmp_path: Path) -> None:
    text = plain(index_html(Overview(standings=(Standing(participant="1", state="planned"),))))
    assert "There are no results yet." in text
    assert "No run has quality measures yet." in text


def test_the_same_folder_gives_the_same_page(out: Path) -> None:
    assert index_html(overview(out, LIMIT)) == index_html(overview(out, LIMIT))


# ------------------------------------------------------------------------------ as it is used


def rows_shown(opened: Opened) -> list[str]:
    """Return the participants that are seen, from top to bottom."""
    rows = opened.page.locator("#table tbody tr:visible th")
    return [text.strip() for text in rows.all_inner_texts()]


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_page_asks_for_nothing_and_fits_and_is_accessible(
    open_page: Open, out: Path, width: int, dark: bool
) -> None:
    opened = open_page(written(out, LIMIT), width=width, dark=dark)
    assert (opened.requests, opened.errors) == ([], [])
    assert opened.overflow() == 0
    assert opened.violations() == []


@pytest.mark.browser
def test_columns_are_sorted_by_keyboard_numbers_as_numbers_and_nothing_last(
    open_page: Open, out: Path
) -> None:
    opened = open_page(written(out))
    head = opened.page.get_by_role("columnheader", name="Mean FD")
    head.get_by_role("button").focus()
    opened.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    values = ["sub-04", "sub-01", "sub-02", "sub-10", "sub-03"]
    nothing = ["sub-05", "sub-06", "sub-11"]
    assert rows_shown(opened) == values + nothing
    opened.page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert rows_shown(opened)[0] == "sub-03"
    assert sorted(rows_shown(opened)[-3:]) == nothing


@pytest.mark.browser
def test_large_and_negative_numbers_are_sorted_by_their_value(
    open_page: Open, tmp_path: Path
) -> None:
    for label, value in (("01", 1234567.0), ("02", 98765.0), ("03", -5.0), ("04", 2.0)):
        finish(tmp_path, label, measures=({"tsnr_median": value},))
    opened = open_page(written(tmp_path))
    opened.page.get_by_role("columnheader", name="tSNR").get_by_role("button").click()
    assert rows_shown(opened)[:4] == ["sub-03", "sub-04", "sub-02", "sub-01"]


@pytest.mark.browser
def test_texts_of_the_plots_are_inside_them(open_page: Open, tmp_path: Path) -> None:
    for label, value in (("01", 0.0005213), ("02", 0.001849)):
        finish(tmp_path, label, measures=({"fd_mean": value, "tsnr_median": -value / 1e3},))
    opened = open_page(written(tmp_path, replace(LIMIT, value=0.0018)))
    outside = opened.page.evaluate(
        """() => [...document.querySelectorAll("svg.strip text")].filter((text) => {
            const [own, all] = [text, text.ownerSVGElement].map((e) => e.getBoundingClientRect());
            return own.left < all.left || own.right > all.right || own.bottom > all.bottom;
        }).map((text) => text.textContent)"""
    )
    assert (outside, opened.page.locator("svg.strip text").count()) == ([], 5)


@pytest.mark.browser
def test_empty_texts_come_last_whichever_way_the_others_go(open_page: Open, out: Path) -> None:
    opened = open_page(written(out))
    button = opened.page.get_by_role("columnheader", name="Reason").get_by_role("button")
    for _ in ("ascending", "descending"):
        button.click()
        reasons = opened.page.locator("#table td.reason").all_inner_texts()
        is_empty = [not reason.strip() for reason in reasons]
        assert is_empty == sorted(is_empty)
        assert set(is_empty) == {False, True}


@pytest.mark.browser
def test_only_the_column_that_sorts_says_so(open_page: Open, out: Path) -> None:
    opened = open_page(written(out))
    for name in ("State", "Participant"):
        opened.page.get_by_role("columnheader", name=name).get_by_role("button").click()
    assert opened.page.locator("[aria-sort]").count() == 1
    opened.page.get_by_role("columnheader", name="Participant").get_by_role("button").click()
    assert rows_shown(opened)[:2] == ["sub-11", "sub-10"]


@pytest.mark.browser
def test_participants_are_filtered_by_words_and_by_problems(open_page: Open, out: Path) -> None:
    opened = open_page(written(out))
    opened.page.get_by_label("only problems").check()
    assert rows_shown(opened) == ["sub-04", "sub-06"]
    opened.page.get_by_label("Show those with").fill("UNKNOWN sub-0")
    assert rows_shown(opened) == ["sub-06"]
    assert opened.page.locator("#shown").inner_text() == "1 of 8 shown"
    opened.page.get_by_label("only problems").uncheck()
    opened.page.get_by_label("Show those with").fill("running")
    assert rows_shown(opened) == ["sub-05"]


@pytest.mark.browser
def test_without_scripts_all_is_read_and_nothing_is_offered(open_page: Open, out: Path) -> None:
    opened = open_page(written(out), javascript=False)
    assert len(rows_shown(opened)) == 8
    assert opened.page.locator("button:visible, input:visible").count() == 0


@pytest.mark.browser
def test_points_tell_their_run(open_page: Open, out: Path) -> None:
    opened = open_page(written(out, LIMIT))
    titles = opened.page.locator("svg circle.bad title").all_text_contents()
    assert titles == ["sub-03 task-x run-1: 0.75", "sub-03 task-x run-2: 0.75"]
