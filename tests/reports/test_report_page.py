"""The report: what it says, that it needs nothing else, and that nothing in it is obeyed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from bids_fx.calls import Call, Failure
from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import Cluster, MapNumbers, write_cluster_sidecar, write_clusters
from bids_fx.derivatives.influence import write_influence
from bids_fx.errors import BIDSFXError, Notice, Problem
from bids_fx.inputs import Absence
from bids_fx.records import ConfoundChoice, MethodsText, Plan
from bids_fx.report_settings import Threshold
from bids_fx.reports.html import write_report
from bids_fx.settings import AnalysisSettings
from tests.small_plans import (
    ANY,
    CLUSTER_HEAD,
    FACE,
    entities,
    influence_row,
    make_contrast,
    make_design,
    make_group,
    make_plan,
    make_run,
    make_run_maps,
    publish_all,
    publish_maps,
    publish_peaks,
    write_map,
)

METHODS = MethodsText(
    markdown="It was *done* [@a1999].\n",
    references=(("a1999", "A (1999). T & U."),),
    bibtex="",
)
SOFTWARE = {"bids_fx": "1.2.3", "numpy": "2.0.0"}
MINUS = "\N{MINUS SIGN}"
NUMBERS = {
    "combined": MapNumbers(
        cutoff=4.125,
        peak_z=8.0,
        xyz=(3.0, -1.0, 0.0),
        lowest=-4.0,
        lowest_xyz=(-6.0, 8.0, 8.0),
        n_above=7,
        at_combined=8.0,
    )
}
VOID = {"meta", "img", "br", "hr", "link", "input"}


@dataclass
class Page(HTMLParser):
    """A parsed report: its tags, its text and its tables."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    caption: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open_tags.append(tag)
        if tag == "caption":
            self.caption = ""
        if tag == "tr":
            self.tables.setdefault(self.caption, []).append([])
        if tag in {"th", "td"}:
            self.tables[self.caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self.open_tags):
            return
        self.words.append(data)
        if "caption" in self.open_tags:
            self.caption += data
        elif {"td", "th"} & set(self.open_tags[-1:]):
            self.tables[self.caption][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, start: str) -> list[list[str]]:
        """Return the rows of the first table whose caption starts so."""
        return next(rows for caption, rows in self.tables.items() if caption.startswith(start))


def call_of(plan: Plan, failures: Sequence[Failure] = ()) -> Call:
    state: Literal["done", "failed"] = "failed" if failures or plan.problems else "done"
    return Call(plan=plan, state=state, failures=tuple(failures), software=SOFTWARE)


def report(plan: Plan, out_dir: Path, failures: Sequence[Failure] = ()) -> Page:
    """Write a report and read it."""
    path = write_report([call_of(plan, failures)], out_dir, [METHODS])
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    assert page.open_tags == []
    return page


@pytest.fixture
def published(tmp_path: Path) -> tuple[Plan, Path]:
    """Return a plan of two runs, and the folder where all it promises is."""
    plan = make_plan()
    publish_all(plan, tmp_path)
    return plan, tmp_path


# --------------------------------------------------------------------------- the page as a page


def test_report_is_one_file_named_by_the_plan(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    before = set(out_dir.rglob("*"))
    path = write_report([call_of(plan)], out_dir, [METHODS])
    assert path == out_dir / "sub-01.html"
    assert set(out_dir.rglob("*")) - before == {path}


def test_same_plan_and_files_give_the_same_bytes(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    first = write_report([call_of(plan)], out_dir, [METHODS]).read_bytes()
    assert write_report([call_of(plan)], out_dir, [METHODS]).read_bytes() == first


def test_page_loads_nothing_and_leads_nowhere(published: tuple[Plan, Path]) -> None:
    page = report(*published)
    assert {tag for tag, _ in page.tags} & {"link", "iframe", "object", "base"} == set()
    data = {"text/plain", "application/json"}
    assert [a for a in page.all("script") if a.get("type") not in data] == [{}, {}]
    assert all(a["src"].startswith("data:image/") for a in page.all("img"))
    assert all(a["href"].startswith("#") for a in page.all("a"))
    text = (published[1] / "sub-01.html").read_text()
    assert re.findall(r"url\(|@import|https?:", text.partition("</style>")[0]) == []
    (policy,) = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'")
    scripts = [found.encode() for found in re.findall("<script>(.*?)</script>", text, re.DOTALL)]
    (packed,) = re.findall('id="viewer-library">(.*?)</script>', text)
    scripts.append(zlib.decompress(base64.b64decode(packed)))
    digests = [hashlib.sha256(script).digest() for script in scripts]
    sources = {f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests}
    assert len(sources) == 3
    assert set(policy.partition("script-src ")[2].split()) == sources


@pytest.mark.parametrize("kind", ["complete", "refused", "without a group"])
def test_ids_are_unique_and_every_link_has_its_goal(
    published: tuple[Plan, Path], tmp_path: Path, kind: str
) -> None:
    plan, _ = published
    if kind == "refused":
        problem = Problem(where="a_events.tsv", found="no column onset", remedy="add it")
        plan = make_plan((), problems=(problem,))
    elif kind == "without a group":
        plan = replace(plan, groups=())
    page = report(plan, tmp_path)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    goals = {a["href"].removeprefix("#") for a in page.all("a")}
    labels = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert goals | labels <= set(ids)


def test_every_image_has_a_text_in_its_place(published: tuple[Plan, Path]) -> None:
    images = report(*published).all("img")
    assert len(images) == 2 * 3 + 2 * 7  # two contrasts with three, two runs with seven figures
    assert all(a["alt"] for a in images)
    assert len({a["alt"] for a in images}) == len(images)


def test_page_has_language_landmarks_and_headings_without_gaps(
    published: tuple[Plan, Path],
) -> None:
    page = report(*published)
    assert page.all("html") == [{"lang": "en"}]
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(page.all(landmark)) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_no_path_of_the_machine_is_in_the_report(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    report(plan, out_dir)
    text = (out_dir / "sub-01.html").read_text()
    assert str(out_dir) not in text
    assert "/data/" not in text


HOSTILE = '<script>alert("x")</script><img src=x onerror=y>&amp;'


def test_nothing_from_the_data_is_obeyed_as_html(tmp_path: Path) -> None:
    contrast = make_contrast(HOSTILE, **{HOSTILE: 1.0})
    other = make_contrast("other", face=1.0)
    run = make_run(
        "sub-01_task-x_run-1",
        conditions=(HOSTILE, "face"),
        contrasts=(contrast, other),
        reasons={"other": HOSTILE},
        censored=(1,),
    )
    choice = replace(run.confounds, by_request={HOSTILE: (HOSTILE,)}, filled={HOSTILE: "0"})
    run = replace(run, confounds=choice, notes=(HOSTILE,))
    problem = Problem(where=HOSTILE, found=HOSTILE, remedy=HOSTILE)
    plan = make_plan(
        (run,),
        settings=AnalysisSettings(confounds=(HOSTILE,)),
        notices=(Notice(text=HOSTILE),),
        problems=(problem,),
    )
    failure = Failure(record=HOSTILE, message=HOSTILE, details=HOSTILE)
    plain = report(make_plan((make_run("sub-01_task-x_run-1"),)), tmp_path)
    page = report(plan, tmp_path, [failure])
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags} | {
        *("details", "summary", "pre", "strong", "em", "li", "h3")
    }
    assert len(page.all("script")) == len(plain.all("script"))
    assert page.text.count('<script>alert("x")</script><img src=x onerror=y>&amp;') >= 10


# ------------------------------------------------------------------------------- what it says


def test_complete_results_are_called_complete(published: tuple[Plan, Path]) -> None:
    page = report(*published)
    assert "Complete: every planned output is there." in page.text
    assert "Errors and warnings None." in page.text


def test_warnings_are_counted_and_come_before_notes(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    notices = (Notice(text="plain fact", warning=False), Notice(text="grave doubt"))
    page = report(replace(plan, notices=notices), out_dir)
    assert "Complete, with 1 warning." in page.text
    assert page.text.index("Warning: grave doubt") < page.text.index("Note: plain fact")


def test_planned_output_that_is_absent_is_listed(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    absent = paths.statmap(plan.runs[0].entities, "face", "variance")
    (out_dir / absent).unlink()
    page = report(plan, out_dir)
    assert "Incomplete: 1 planned output is missing." in page.text
    assert f"1 file {absent}" in page.text
    assert page.table("Runs:")[1][-1] == "1 missing"
    assert page.table("Runs:")[2][-1] == "complete"


def test_every_absent_output_is_listed_once_and_the_report_itself_is_not(tmp_path: Path) -> None:
    plan = make_plan()
    page = report(plan, tmp_path)
    own = {"sub-01.html", "sub-01/calls.json"}
    expected = {str(path) for path in paths.expected_outputs(plan)} - own
    listed = (
        page.text.partition(f"{len(expected)} files ")[2].partition(" Back to the top")[0].split()
    )
    assert sorted(listed) == sorted(expected)


def test_absent_figure_says_so_at_its_place(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    figure = paths.group_figures(plan.groups[0])["face"]["z"]
    (out_dir / figure).unlink()
    assert f"The figure {figure} is missing." in report(plan, out_dir).text


def test_absent_cluster_table_says_so(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    (out_dir / paths.group_clusters(plan.groups[0])["face"]).unlink()
    assert "The cluster table is missing." in report(plan, out_dir).text


def test_failure_is_told_with_all_that_is_known(published: tuple[Plan, Path]) -> None:
    failure = Failure(record="fitting run-1", message="killed", details="Traceback: line 5")
    page = report(*published, failures=[failure])
    assert "Incomplete: 1 step failed." in page.text
    assert "fitting run-1 : killed" in page.text
    assert "Traceback: line 5" in page.text


def test_report_of_a_participant_with_nothing_but_problems_is_written(tmp_path: Path) -> None:
    problem = Problem(where="a_events.tsv", found="no column onset", remedy="add it")
    plan = make_plan((), problems=(problem,))
    publish_all(plan, tmp_path)
    page = report(plan, tmp_path)
    assert "Nothing was computed: the input has 1 problem." in page.text
    assert "a_events.tsv : no column onset. What to do: add it." in page.text
    assert page.text.count("No run was analysed.") == 2
    assert "Nothing was computed, so that there are no contrasts." in page.text
    assert tiles(page) == ["0 runs used", "0 warnings", "1 error"]


def tiles(page: Page) -> list[str]:
    """Return the counts at the head of a page."""
    words = [word.strip() for word in page.words if word.strip()]
    start, end = words.index("sub-01") + 2, words.index("Contents")
    found = words[start:end]
    return [f"{value} {name}" for value, name in zip(found[::2], found[1::2], strict=False)]


def test_run_in_two_spaces_is_one_run(tmp_path: Path) -> None:
    runs = [make_run(f"sub-01_task-x_run-1_space-{space}") for space in ("A", "B")]
    groups = [
        make_group(f"sub-01_task-x_space-{s}", [run]) for s, run in zip("AB", runs, strict=True)
    ]
    plan = make_plan(runs, groups)
    publish_all(plan, tmp_path)
    assert tiles(report(plan, tmp_path))[:2] == ["1 run used", "0 runs incomplete"]
    (tmp_path / paths.mask(runs[1].entities)).unlink()
    assert tiles(report(plan, tmp_path))[:2] == ["0 runs used", "1 run incomplete"]


def test_run_whose_figure_is_missing_is_used_and_its_figure_told(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    (out_dir / paths.run_figures(plan.runs[0])["carpet"]).unlink()
    (out_dir / paths.carpet(plan.runs[0].entities)).unlink()
    page = report(plan, out_dir)
    assert tiles(page)[:2] == ["2 runs used", "0 runs incomplete"]
    assert "Incomplete: 2 planned outputs are missing." in page.text
    assert page.table("Runs:")[1][-1] == "2 missing"


def test_confounds_of_a_design_made_beforehand_are_those_of_its_columns(tmp_path: Path) -> None:
    design = make_design(confounds=("a", "b", "c"))
    run = make_run("sub-01_task-x_run-1", design_file=Path("/data/design.tsv"))
    plan = make_plan((replace(run, design=design, confounds=ConfoundChoice()),))
    publish_all(plan, tmp_path)
    rows = report(plan, tmp_path).table("Runs:")
    assert rows[1][rows[0].index("Confounds")] == "3"


def test_report_without_any_run_says_so(tmp_path: Path) -> None:
    plan = make_plan(())
    publish_all(plan, tmp_path)
    assert "There is no run to analyse." in report(plan, tmp_path).text


def test_overview_has_the_numbers_of_each_run(published: tuple[Plan, Path]) -> None:
    rows = report(*published).table("Runs:")
    assert rows[1] == ["task-x run-1", "40", "2", "2", "1", "0", "35", "2 of 2", "complete"]


def test_entities_that_all_runs_share_stand_in_the_caption_alone(tmp_path: Path) -> None:
    name = "sub-01_ses-1_task-x_acq-a_run-{}_space-T1w_res-2"
    page = report(make_plan([make_run(name.format(i)) for i in (1, 2)], ()), tmp_path)
    rows = page.table("Runs (acq-a space-T1w res-2): scans")
    assert [row[0] for row in rows[1:]] == ["ses-1 task-x run-1", "ses-1 task-x run-2"]


def test_entities_in_which_runs_differ_are_part_of_their_names(tmp_path: Path) -> None:
    names = ("sub-01_task-x_dir-LR_space-T1w", "sub-01_task-x_space-MNI")
    page = report(make_plan([make_run(name) for name in names], ()), tmp_path)
    shown = [row[0] for row in page.table("Runs:")[1:]]
    assert shown == ["task-x dir-LR space-T1w", "task-x space-MNI"]


def test_degrees_of_freedom_are_scans_minus_the_rank_of_the_plan(tmp_path: Path) -> None:
    run = replace(make_run("sub-01_task-x"), rank=6)
    assert report(make_plan((run,)), tmp_path).table("Runs:")[1][6] == "34"


def test_table_tells_which_run_can_estimate_which_contrast_and_why_not(tmp_path: Path) -> None:
    runs = (
        make_run("sub-01_task-x_run-1"),
        make_run("sub-01_task-x_run-2", reasons={"face": "no face was shown"}),
        make_run("sub-01_task-y", contrasts=(make_contrast("rest", rest=1.0),)),
    )
    page = report(make_plan(runs, ()), tmp_path)
    assert page.table("Which run")[0] == ["Run", "face (t)", "face - house (t)", "rest (t)"]
    assert page.table("Which run")[1:] == [
        ["task-x run-1", "yes", "yes", "\N{EM DASH}"],
        ["task-x run-2", "no\N{NO-BREAK SPACE}(a)", "yes", "\N{EM DASH}"],
        ["task-y", "\N{EM DASH}", "\N{EM DASH}", "yes"],
    ]
    assert "(a) no face was shown." in page.text


def test_what_is_missing_stands_in_both_tables_and_in_the_group(tmp_path: Path) -> None:
    run = make_run("sub-01_task-x_run-1")
    choice = replace(run.confounds, missing={"acompcor": "3 of 5 columns"})
    runs = (replace(run, confounds=choice),)
    reason = "it has events but no BOLD series"
    absent = tuple(
        Absence(entities=entities(name), reason=reason)
        for name in ("sub-01_task-x_run-2", "sub-01_run-7")
    )
    group = make_group(
        "sub-01_task-x", runs, absent={str(one.entities): one.reason for one in absent}
    )
    page = report(make_plan(runs, (group,), absent=absent), tmp_path)
    dash = "\N{EM DASH}"
    assert page.table("Runs")[2] == ["task-x run-2", *[dash] * 7, "left out"]
    assert len(page.table("Runs")) == 3
    answer = "no\N{NO-BREAK SPACE}(a)"
    assert page.table("Which run")[2] == ["task-x run-2", answer, answer]
    assert f"(a) the run is left out, since {reason}." in page.text
    assert f"task-x run-2: {reason}." in page.text
    assert f"run-7: {reason}." in page.text
    assert "task-x run-1: confounds acompcor: 3 of 5 columns in its table." in page.text
    assert "Missing confounds: of acompcor, 3 of 5 columns in its table." in page.text
    assert "Not there: run-2, run-7." in page.text
    assert "1 run left out" in tiles(page)


def test_whole_results_say_nothing_of_missing_runs(published: tuple[Plan, Path]) -> None:
    page = report(*published)
    assert "left out" not in page.text
    assert "Missing, and done without" not in page.text
    assert "Not there" not in page.text


def test_peaks_are_those_of_the_published_maps(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    path = out_dir / paths.statmap(plan.runs[1].entities, "face", "z")
    z = np.full((6, 7, 5), 0.5)
    z[4, 1, 3], z[2, 3, 2], z[0, 0, 1] = 6.5, 2.25, -5.0
    write_map(path, z)
    publish_peaks(plan, out_dir)
    rows = report(plan, out_dir).table("Peaks of the z maps")
    shown = "|z| > 3.29"
    assert rows[:4] == [
        [
            *("Map", "Peak z", "Place (x, y, z in mm)", "Minimum z"),
            *("Threshold", "Voxels above", "z at the combined peak"),
        ],
        ["combined (2 runs)", "8.00", f"(3, {MINUS}1, 0)", f"{MINUS}4.00", shown, "2", "8.00"],
        ["run-1", "5.00", f"(3, {MINUS}1, 0)", f"{MINUS}4.00", shown, "2", "5.00"],
        ["run-2", "6.50", f"({MINUS}3, {MINUS}7, 4)", f"{MINUS}5.00", shown, "2", "2.25"],
    ]


def test_combined_map_with_the_higher_peak_is_told(published: tuple[Plan, Path]) -> None:
    text = report(*published).text
    assert "The combined map has the higher peak: z = 8.00 against 6.00 (run-2)." in text


def test_combined_map_with_a_lower_peak_is_told(tmp_path: Path) -> None:
    plan = make_plan()
    publish_all(plan, tmp_path, combined=5.5)
    text = report(plan, tmp_path).text
    assert "The combined map does not have the higher peak: z = 5.50 against 6.00 (run-2)." in text


def test_contrast_that_is_mainly_negative_is_told_by_its_minimum(tmp_path: Path) -> None:
    plan = make_plan()
    publish_all(plan, tmp_path)
    for result, lowest in ((plan.groups[0], -10.25), (plan.runs[0], -7.5), (plan.runs[1], -6.0)):
        z = np.full((6, 7, 5), 0.5)
        z[4, 1, 3], z[2, 3, 2] = 3.5, lowest
        write_map(tmp_path / paths.statmap(result.entities, "face", "z"), z)
    publish_peaks(plan, tmp_path)
    page = report(plan, tmp_path)
    assert f"peak z {MINUS}10.25" in page.text
    told = f"z = {MINUS}10.25 against {MINUS}7.50 (run-1)"
    assert f"The combined map has the higher peak: {told}." in page.text
    assert "The combined peak is the combined map's minimum." in page.text
    rows = page.table("Peaks of the z maps")
    assert [(row[1], row[3], row[6]) for row in rows[1:4]] == [
        ("3.50", value, value) for value in (f"{MINUS}10.25", f"{MINUS}7.50", f"{MINUS}6.00")
    ]
    alts = " ".join(str(a["alt"]) for a in page.all("img"))
    assert f"combined (2 runs): peak z {MINUS}10.25 at (3, {MINUS}1, 0) mm" in alts


@pytest.mark.parametrize("content", ["{", "[]", '{"Threshold": {"Z": {}}, "Peaks": {"a": {}}}'])
def test_peaks_are_told_as_missing_where_their_record_is_damaged(
    published: tuple[Plan, Path], content: str
) -> None:
    plan, out_dir = published
    path = out_dir / paths.sidecar(paths.group_clusters(plan.groups[0])["face"])
    path.write_text(content)
    page = report(plan, out_dir)
    assert page.table("Peaks of the z maps")[2] == ["run-1", *["missing"] * 6]
    assert "combined (2 runs): missing; run-1: missing" in " ".join(
        str(a["alt"]) for a in page.all("img")
    )


def test_no_z_map_is_read_for_what_the_figures_told_already(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    before = report(plan, out_dir)
    for path in out_dir.rglob("*stat-z_statmap.nii.gz"):
        path.write_bytes(b"\x1f\x8b nothing")
    after = report(plan, out_dir)
    assert after.table("Peaks of the z maps") == before.table("Peaks of the z maps")
    assert [a["alt"] for a in after.all("img")] == [a["alt"] for a in before.all("img")]
    assert "The combined map has the higher peak: z = 8.00 against 6.00 (run-2)." in after.text


def test_map_without_any_result_has_no_peak(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    write_map(out_dir / paths.statmap(plan.runs[0].entities, "face", "z"), np.zeros((6, 7, 5)))
    publish_peaks(plan, out_dir)
    rows = report(plan, out_dir).table("Peaks of the z maps")
    assert rows[2] == ["run-1", *["n/a"] * 6]


def test_ten_highest_clusters_are_listed_and_the_rest_counted(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    clusters = [
        Cluster(xyz=(-1.0, 2.0, 3.0), peak_z=20.0 - i, effect=-0.25, size_mm3=1080.0, n_voxels=30)
        for i in range(13)
    ]
    path = out_dir / paths.group_clusters(plan.groups[0])["face"]
    write_clusters(path, [("combined", cluster) for cluster in clusters])
    page = report(plan, out_dir)
    rows = page.table("Clusters")
    assert len(rows) == 11
    assert rows[0][3] == "Effect at the peak (% signal change)"
    assert rows[1] == ["1", "20.00", f"({MINUS}1, 2, 3)", f"{MINUS}0.25", "1,080", "30"]
    assert f"The 10 with the largest |z| of 13. All are in {path.name}." in page.text


def test_largest_clusters_of_all_runs_are_listed_where_nothing_is_combined(
    tmp_path: Path,
) -> None:
    runs = [make_run(f"sub-01_task-x_run-{n}") for n in (1, 2)]
    group = make_group("sub-01_task-x", runs, not_written="the filters left out run 3")
    plan = make_plan(runs, (group,))
    publish_all(plan, tmp_path)
    clusters = [
        (
            run.key,
            Cluster(xyz=(0.0, 0.0, 0.0), peak_z=peak_z, effect=1.0, size_mm3=8.0, n_voxels=1),
        )
        for run, sign in zip(runs, (1, -1), strict=True)
        for peak_z in sign * (20.0 - np.arange(8) + 0.25 * sign)
    ]
    path = tmp_path / paths.group_clusters(group)["face"]
    write_clusters(path, clusters)
    page = report(plan, tmp_path)
    assert "The 10 with the largest |z| of 16." in page.text
    assert [row[:3] for row in page.table("Clusters")[1:6]] == [
        ["1", "run-1", "20.25"],
        ["2", "run-2", f"{MINUS}19.75"],
        ["3", "run-1", "19.25"],
        ["4", "run-2", f"{MINUS}18.75"],
        ["5", "run-1", "18.25"],
    ]


def test_threshold_and_lack_of_correction_are_told_with_each_figure_and_table(
    published: tuple[Plan, Path],
) -> None:
    text = report(*published).text
    told = "p < .001 two-sided in each voxel, not corrected for the number of voxels"
    assert text.count(told) == 2 * 3  # figure, peaks and clusters of two contrasts
    assert text.count("There is no cluster.") == 2


def test_threshold_that_is_told_is_that_of_the_figures_whoever_drew_them(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    threshold = Threshold(correction="fdr", error_rate=0.01)
    drawn = replace(plan, report=replace(plan.report, threshold=threshold))
    group = plan.groups[0]
    for item in group.contrasts:
        write_cluster_sidecar(drawn, group, item, NUMBERS, {}, out_dir)
    page = report(plan, out_dir)
    told = "a false discovery rate of .01 over the voxels of each map (Benjamini and Hochberg's;"
    assert page.text.count(told) == 2 * 3  # figure, peaks and clusters of two contrasts
    assert "two-sided p values): |z| > 4.12." in page.text
    assert page.table("Peaks of the z maps")[1][4] == "|z| > 4.12"
    (face, _) = [a["alt"] for a in page.all("img") if "glass brain" in str(a["alt"])]
    assert "7 voxels with |z| > 4.12" in str(face)
    assert "not corrected" not in page.text


def test_clusters_are_told_with_their_regions_and_the_atlas(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    group = plan.groups[0]
    clusters = [
        Cluster(
            xyz=(1.0, 2.0, 3.0),
            peak_z=5.0,
            effect=0.5,
            size_mm3=36.0,
            n_voxels=1,
            region=region,
        )
        for region in ("Left <b>Pole", None)
    ]
    path = out_dir / paths.group_clusters(group)["face"]
    write_clusters(path, [("combined", cluster) for cluster in clusters])
    sides = ({"Atlas": "An atlas"}, {"RegionsLeftOut": "a.tsv is no table of regions"})
    write_cluster_sidecar(plan, group, group.contrasts[0], NUMBERS, sides[0], out_dir)
    page = report(plan, out_dir)
    rows = page.table("Clusters")
    assert [row[3] for row in rows] == ["Region", "Left <b>Pole", "n/a"]
    assert "Region of the peak: An atlas." in page.text
    write_cluster_sidecar(plan, group, group.contrasts[0], NUMBERS, sides[1], out_dir)
    page = report(plan, out_dir)
    assert "Region" not in page.table("Clusters")[0]
    assert "Without regions: a.tsv is no table of regions." in page.text


def test_figures_tell_the_peak_the_threshold_and_the_extent_in_words(
    published: tuple[Plan, Path],
) -> None:
    texts = [a["alt"] for a in report(*published).all("img")]
    told = (
        f"combined (2 runs): peak z 8.00 at (3, {MINUS}1, 0) mm, 2 voxels with |z| > 3.29; run-1"
    )
    (face, _) = [text for text in texts if told in text]
    assert face.startswith("z maps of face, one row a map: a glass brain from three sides")


def test_damaged_cluster_table_is_told_as_missing(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    path = out_dir / paths.group_clusters(plan.groups[0])["face"]
    path.write_text(CLUSTER_HEAD + "combined\tx\n")
    assert "The cluster table is missing." in report(plan, out_dir).text


def test_contrast_that_no_run_can_estimate_is_told_without_a_figure(tmp_path: Path) -> None:
    runs = (make_run("sub-01_task-x_run-1", reasons={"face": "no face was shown"}),)
    plan = make_plan(runs)
    publish_all(plan, tmp_path)
    page = report(plan, tmp_path)
    assert "No run can estimate this contrast, so there is no map of it." in page.text
    assert "run-1 is left out: no face was shown." in page.text
    assert len(page.all("article")) == 2
    assert len([a for a in page.all("figure") if a["class"] == "maps"]) == 1


def test_group_that_is_not_written_says_why_and_compares_no_peaks(tmp_path: Path) -> None:
    runs = (make_run("sub-01_task-x_run-1"), make_run("sub-01_task-x_run-2"))
    group = make_group("sub-01_task-x", runs, not_written="the filters leave out some of its runs")
    plan = make_plan(runs, (group,))
    publish_all(plan, tmp_path)
    page = report(plan, tmp_path)
    assert "No combined map is written: the filters leave out some of its runs." in page.text
    rows = page.table("Peaks of the z maps")
    assert [row[0] for row in rows[:3]] == ["Map", "run-1", "run-2"]
    assert len(rows[0]) == 6
    assert "higher peak" not in page.text


def test_sessions_and_the_participant_have_a_part_each(tmp_path: Path) -> None:
    runs = [make_run(f"sub-01_ses-{s}_task-x_run-{r}") for s in "ab" for r in "12"]
    groups = [
        make_group("sub-01_ses-a_task-x", runs[:2], level="session", key="session_a"),
        make_group("sub-01_ses-b_task-x", runs[2:], level="session", key="session_b"),
        make_group("sub-01_task-x", runs),
    ]
    plan = make_plan(runs, groups)
    publish_all(plan, tmp_path)
    page = report(plan, tmp_path)
    titles = ("Participant: task-x", "Session: ses-a task-x", "Session: ses-b task-x")
    places = [page.text.index(title) for title in titles]
    assert places == sorted(places)
    assert "4 runs, weighted by the inverse of their variances: ses-a run-1, ses-a" in page.text


def test_maps_made_beforehand_are_told_with_their_degrees_of_freedom(tmp_path: Path) -> None:
    runs = [
        make_run_maps(tmp_path, f"sub-01_task-x_run-{i}", effect=6.0, variance=4.0, dof=dof)
        for i, dof in ((1, 20.0), (2, None))
    ]
    plan = make_plan(runs)
    publish_all(plan, tmp_path)
    page = report(plan, tmp_path)
    rows = page.table("Runs:")
    assert rows[1][6:] == ["20", "1 of 1", "made beforehand"]
    assert rows[2][6] == "in maps"
    assert "a flat grey where there are results, since the maps were made beforehand" in page.text
    assert page.table("Peaks of the z maps")[2][1] == "2.69"  # t = 3 with 20 dof
    origins = {row[0]: row[2] for row in page.table("Settings")[1:]}
    assert origins["hrf_model"] == "not in force: run maps made beforehand"
    assert origins["combination"] == "default"


def test_settings_are_told_with_what_was_chosen(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    settings = AnalysisSettings(smoothing_fwhm_mm=6.0, drift_model="none")
    rows = report(replace(plan, settings=settings), out_dir).table("Settings")
    assert ["smoothing_fwhm_mm", "6", "chosen"] in rows
    assert ["hrf_model", "spm", "default"] in rows
    assert ["high_pass_s", "128", "not in force: no cosine drift"] in rows


@pytest.fixture
def f_contrast(tmp_path: Path) -> tuple[Plan, Path]:
    """Return a plan of an F contrast of two rows, and the folder where all it promises is."""
    runs = [make_run(f"sub-01_task-x_run-{i}", contrasts=(ANY,)) for i in (1, 2)]
    plan = make_plan(runs)
    publish_all(plan, tmp_path)
    return plan, tmp_path


def test_an_f_contrast_is_told_as_one(f_contrast: tuple[Plan, Path]) -> None:
    page = report(*f_contrast)
    assert page.table("Which run")[0] == ["Run", "any (F)"]
    assert "F test of 2 rows together, which has no direction." in page.text
    told = "p < .001 in each voxel (z has the two-sided tail that p of F is)"
    assert page.text.count(told) == 3  # figure, peaks and clusters
    assert "so there is no plot of each run's effect and no I²" in page.text
    assert "|z|" not in page.text


def test_tables_of_an_f_contrast_have_no_minimum_and_no_effect(
    f_contrast: tuple[Plan, Path],
) -> None:
    plan, out_dir = f_contrast
    cluster = Cluster(
        xyz=(-1.0, 2.0, 3.0), peak_z=9.0, effect=float("nan"), size_mm3=36.0, n_voxels=1
    )
    path = out_dir / paths.group_clusters(plan.groups[0])["any"]
    write_clusters(path, [("combined", cluster)])
    page = report(plan, out_dir)
    peaks = page.table("Peaks of the z maps")
    assert peaks[0] == [
        *("Map", "Peak z", "Place (x, y, z in mm)"),
        *("Threshold", "Voxels above", "z at the combined peak"),
    ]
    assert peaks[1][1:] == ["8.00", f"(3, {MINUS}1, 0)", "z > 3.29", "2", "8.00"]
    assert page.table("Clusters") == [
        ["Cluster", "Peak z", "Place (x, y, z in mm)", "Size (mm³)", "Voxels"],
        ["1", "9.00", f"({MINUS}1, 2, 3)", "36", "1"],
    ]


def test_what_each_run_does_to_the_peak_is_told(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    group = plan.groups[0]
    first, second = (str(run.entities) for run in plan.runs)
    rows = [
        influence_row(first),
        influence_row(
            second, effect=float("nan"), dof=float("nan"), weight=0.0, z_without=8.0, change=0.0
        ),
    ]
    write_influence(plan, group, group.contrasts[0], rows, out_dir)
    page = report(plan, out_dir)
    assert page.table("What each run does") == [
        [
            *("Run", "Peak", "Effect", "SE", "dof", "Weight", "z of all", "z without", "Change"),
        ],
        ["run-1", f"(3, {MINUS}1, 0)", "1.5", "0.25", "35.5", "75 %", "8.00", "5.50", "2.50"],
        ["run-2", f"(3, {MINUS}1, 0)", "n/a", "0.25", "n/a", "0 %", "8.00", "8.00", "0.00"],
    ]


def test_voxels_without_weights_are_told(f_contrast: tuple[Plan, Path]) -> None:
    plan, out_dir = f_contrast
    assert "too few degrees of freedom for weights" not in report(plan, out_dir).text
    (group,) = plan.groups
    path = paths.sidecar(paths.statmap(group.entities, group.contrasts[0].contrast.label, "z"))
    (out_dir / path).parent.mkdir(parents=True, exist_ok=True)
    (out_dir / path).write_text(json.dumps({"VoxelsWithoutWeights": 12}))
    assert "In 12 voxels a run has too few degrees of freedom" in report(plan, out_dir).text


def test_influence_on_an_f_contrast_is_told_by_f(f_contrast: tuple[Plan, Path]) -> None:
    page = report(*f_contrast)
    assert page.table("What each run does")[0] == [
        *("Run", "Peak", "F", "dof", "z of all", "z without", "Change")
    ]
    told = page.text.partition("What each run does to the peaks")[2].partition("Also in")[0]
    assert "its own F there" in told
    assert not [word for word in ("effect", "error", "weight") if word in told]


def test_absent_table_of_influence_is_told(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    (out_dir / paths.influence_tables(plan.groups[0])["face"]).unlink()
    assert "The table of what each run does is missing." in report(plan, out_dir).text


def test_a_run_alone_has_no_table_of_influence(tmp_path: Path) -> None:
    plan = make_plan([make_run("sub-01_task-x_run-1")])
    publish_all(plan, tmp_path)
    assert "What each run does" not in report(plan, tmp_path).text


def test_how_well_each_contrast_can_be_estimated_is_told(tmp_path: Path) -> None:
    contrasts = (FACE, ANY, make_contrast("song", song=1.0))
    run = make_run("sub-01_task-x", contrasts=contrasts, reasons={"song": "no event"})
    plan = make_plan([run])
    publish_all(plan, tmp_path)
    assert report(plan, tmp_path).table("Contrasts: their rows") == [
        ["Contrast", "Test", "Rows", "Efficiency", "Variance inflation", "dof"],
        ["face", "t", "1", "12.5", "1.75", "31.5"],
        ["any", "F", "2", "12.5", "1.75", "31.5"],
    ]


def test_absent_degrees_of_freedom_of_a_contrast_are_told(tmp_path: Path) -> None:
    plan = make_plan([make_run("sub-01_task-x", contrasts=(FACE, ANY))])
    publish_all(plan, tmp_path)
    sidecars = [
        tmp_path / paths.sidecar(paths.statmap(plan.runs[0].entities, item.label, "z"))
        for item in (FACE, ANY)
    ]
    sidecars[0].unlink()
    sidecars[1].write_text('{"EffectiveDegreesOfFreedom": null}')
    rows = report(plan, tmp_path).table("Contrasts: their rows")
    assert [row[-1] for row in rows] == ["dof", "missing", "n/a"]


def test_design_figures_of_another_analysis_are_not_shown(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    first, second = plan.runs
    pages = []
    for hash_ in (first.design_hash, "another"):
        for run, told in ((first, hash_), (second, second.design_hash)):
            sidecar = out_dir / paths.sidecar(paths.design(run.entities))
            sidecar.write_text(json.dumps({"DesignHash": told}))
        pages.append(report(plan, out_dir))
    own, another = pages
    sentence = "The design table and its figures in the output folder are of another analysis"
    assert [page.text.count(sentence) for page in pages] == [0, 1]
    assert len(own.all("img")) - len(another.all("img")) == len(paths.DESIGN_FIGURES)
    assert [page.text.count("Design matrix.") for page in pages] == [2, 1]


@pytest.mark.parametrize(("noise_model", "count"), [("ols", 0), ("ar1-yw", 0), ("ar1", 1)])
def test_degrees_of_freedom_by_voxel_are_told_where_they_are(
    tmp_path: Path, noise_model: str, count: int
) -> None:
    page = report(make_plan([make_run("sub-01_task-x", noise_model=noise_model)]), tmp_path)
    assert page.text.count("its tests are Kenward and Roger's, by voxel and contrast") == count


def test_software_inputs_and_hashes_are_told(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    page = report(plan, out_dir)
    assert ["numpy", "2.0.0"] in page.table("Software")
    uri = "bids:preproc:sub-01/func/sub-01_task-x_run-1_desc-preproc_bold.nii.gz"
    assert ["task-x_run-1", uri] in page.table("Input files")
    assert ["subject_task-x", "cd34" * 16] in page.table("Hashes")


def test_quality_events_and_censored_scans_are_told(tmp_path: Path) -> None:
    plan = make_plan((make_run("sub-01_task-x_run-1", censored=(3,)),))
    publish_all(plan, tmp_path)
    page = report(plan, tmp_path)
    assert ["temporal SNR, median", "61.25", "tsnr_median"] in page.table("Quality measures")
    assert ["face", "2", "1 to 2.5"] in page.table("Events")
    assert ["3", "dummy scan"] in page.table("Censored scans: 1 of 40")
    assert "Confounds motion6: trans_x. Confounds nss: no column enters." in page.text


def test_missing_quality_measures_are_told(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    (out_dir / paths.quality(plan.runs[0].entities)).unlink()
    assert "Quality measures: missing" in report(plan, out_dir).text


def test_methods_text_has_numbered_references(published: tuple[Plan, Path]) -> None:
    page = report(*published)
    assert "It was done [ 1 ]." in page.text
    assert {"href": "#analysis-1-ref-1"} in page.all("a")
    assert "A (1999). T & U." in page.text


def test_figures_of_other_calls_are_shown_apart(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    figure = out_dir / paths.statmap_figure(entities("sub-01_task-y"), "face")
    figure.write_bytes((out_dir / paths.group_figures(plan.groups[0])["face"]["z"]).read_bytes())
    page = report(plan, out_dir)
    assert "Also in this folder, from other calls" in page.text
    assert "sub-01_task-y_contrast-face." in page.text


def test_figures_that_are_planned_are_not_shown_as_those_of_others(
    published: tuple[Plan, Path],
) -> None:
    assert "from other calls" not in report(*published).text


def test_figure_with_many_columns_gets_the_whole_width(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    wide = b'<svg xmlns="http://www.w3.org/2000/svg" width="1137.6pt" height="10pt"></svg>'

    def n_wide() -> int:
        return [a["class"] for a in report(plan, out_dir).all("figure")].count("model wide")

    before = n_wide()
    (out_dir / paths.run_figures(plan.runs[0])["design"]).write_bytes(wide)
    assert n_wide() == before + 1


def test_report_that_cannot_be_written_leaves_the_old_one(
    published: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, out_dir = published
    report(plan, out_dir)
    old = (out_dir / "sub-01.html").read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(BIDSFXError, match="No space"):
        report(replace(plan, notices=(Notice(text="new"),)), out_dir)
    assert (out_dir / "sub-01.html").read_bytes() == old
    assert list(out_dir.glob(".*.tmp")) == []


def test_report_is_written_from_maps_alone(tmp_path: Path) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path)
    page = report(plan, tmp_path)
    assert "Incomplete" in page.text
    assert page.table("Peaks of the z maps")[1][1] == "missing"
