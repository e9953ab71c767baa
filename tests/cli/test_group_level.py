"""The level `group`, called as a user does: what it writes, prints and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from bids_fx.derivatives import paths
from bids_fx.derivatives.dataset import write_state
from bids_fx.settings import WORK_AREA
from tests.small_outputs import fail, finish, plan_of

WRITTEN = ("index.html", "qc.tsv", "qc.json", "summary.json")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return an output folder of two participants who are done."""
    folder = tmp_path / "out"
    for label in ("01", "02"):
        finish(folder, label)
    return folder


def group(out: Path, *words: str) -> int:
    """Call the program with a dataset beside the output folder, which need not be there."""
    return main([str(out.parent / "raw"), str(out), "group", *words])


def states(out: Path) -> dict[str, str]:
    """Return the state of each participant as `summary.json` has it."""
    told = json.loads((out / "summary.json").read_text())["participants"]
    return {name.removeprefix("sub-"): one["state"] for name, one in told.items()}


def written(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in WRITTEN}


# ---------------------------------------------------------------------------- what it writes


def test_all_files_are_written_and_the_page_is_named(out, capsys):
    assert group(out) == 0
    assert capsys.readouterr().out == f"{out / 'index.html'}\n"
    assert states(out) == {"01": "done", "02": "done"}
    assert set(WRITTEN) <= {path.name for path in out.iterdir()}


def test_the_same_folder_gives_the_same_bytes(out):
    group(out)
    first = written(out)
    group(out, "--nprocs", "3")
    assert written(out) == first


def test_nothing_but_the_four_files_is_written(out):
    before = {path for path in out.rglob("*") if WORK_AREA not in path.parts}
    group(out)
    after = {path for path in out.rglob("*") if WORK_AREA not in path.parts}
    assert after - before == {out / name for name in WRITTEN}


def test_no_file_names_a_folder_of_this_machine(out):
    (out / "sub-03").mkdir()
    (out / paths.calls("02")).write_text("{")
    group(out)
    assert not any(str(out).encode() in content for content in written(out).values())


def test_participants_of_the_dataset_who_were_not_begun_are_listed(out):
    for label in ("01", "03"):
        (out.parent / "raw" / f"sub-{label}").mkdir(parents=True)
    assert group(out) == 0
    assert states(out) == {"01": "done", "02": "done", "03": "not started"}


def test_label_chooses_the_participants(out):
    (out.parent / "raw" / "sub-03").mkdir(parents=True)
    assert group(out, "--participant-label", "2") == 0
    assert states(out) == {"02": "done"}
    assert group(out, "--participant-label", "sub-02") == 0
    assert states(out) == {"02": "done"}
    assert group(out, "--participant-label", "02", "03") == 0
    assert states(out) == {"02": "done", "03": "not started"}


# ------------------------------------------------------------------------------- exit codes


def test_failure_is_listed_by_name_with_its_reason(out, capsys):
    fail(out, "03", "task-x_run-2: it is damaged")
    assert group(out) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{out / 'index.html'}\n"
    assert "bids_fx: 1 problem:" in printed.err
    assert "  - sub-03: task-x_run-2: it is damaged; see sub-03.html." in printed.err


def test_broken_limit_is_a_failure_by_name(out, capsys):
    assert group(out, "--qc-fail", "fd_mean>0.5") == 0
    assert group(out, "--qc-fail", "tsnr_median<41", "--participant-label", "01") == 1
    assert "sub-01: task-x_run-2: tsnr_median is 40.5, below 41" in capsys.readouterr().err


def test_limit_that_could_not_judge_every_run_is_warned_of(out, capsys):
    assert group(out, "--qc-fail", "white_median>0.1") == 0
    told = capsys.readouterr().err
    assert "The limit white_median>0.1 of --qc-fail judged 0 of 4 runs" in told
    (out / paths.quality(plan_of("01").runs[0].entities)).write_text('{"fd_mean": null}')
    group(out, "--qc-fail", "fd_mean>9")
    assert "The limit fd_mean>9 of --qc-fail judged 3 of 4 runs" in capsys.readouterr().err
    group(out, "--qc-fail", "tsnr_median<1", "--participant-label", "02")
    assert "--qc-fail" not in capsys.readouterr().err


def test_participants_under_way_are_no_failure(out):
    write_state(out, "01", "running")
    write_state(out, "03", "planned")
    assert group(out) == 0
    assert states(out) == {"01": "running", "02": "done", "03": "planned"}


def test_damage_and_foreign_folders_cost_only_their_participants(out, capsys):
    (out / paths.calls("02")).write_text("{")
    (out / "sub-03" / "func").mkdir(parents=True)
    assert group(out) == 1
    assert states(out) == {"01": "done", "02": "failed", "03": "unknown"}
    told = capsys.readouterr().err
    assert "sub-02: calls.json: " in told
    assert "sub-03: nothing here says what was done" in told


def test_output_folder_that_is_not_there_is_a_missing_input(tmp_path, capsys):
    assert group(tmp_path / "absent") == 66
    assert "OUTPUT_DIR" in capsys.readouterr().err
    assert not (tmp_path / "absent").exists()


def test_output_folder_without_participants_selects_nothing(tmp_path, capsys):
    (tmp_path / "out" / "logs").mkdir(parents=True)
    (tmp_path / "raw" / "sub-01").mkdir(parents=True)
    assert group(tmp_path / "out") == 18
    assert "holds no participant" in capsys.readouterr().err
    assert not (tmp_path / "out" / "index.html").exists()


def test_labels_that_nobody_has_are_all_named(out, capsys):
    assert group(out, "--participant-label", "01", "08", "09") == 18
    told = capsys.readouterr().err
    assert "--participant-label 08: there is no sub-08" in told
    assert "--participant-label 09: there is no sub-09" in told


def test_label_of_a_participant_not_begun_alone_selects_nothing(out, capsys):
    (out.parent / "raw" / "sub-03").mkdir(parents=True)
    assert group(out, "--participant-label", "03") == 18
    assert "holds none of the participants asked for" in capsys.readouterr().err


def test_many_reasons_are_cut_on_the_terminal_and_whole_in_the_page(out, capsys):
    reasons = tuple(f"reason number {number}" for number in range(5))
    finish(out, "03", plan=plan_of("03"), state="failed", reasons=reasons)
    assert group(out) == 1
    told = capsys.readouterr().err
    assert "reason number 2; and 2 more; see" in told
    page = (out / "index.html").read_text()
    assert all(reason in page for reason in reasons)
