"""Options that contradict each other, and folders that must not lie in each other."""

from pathlib import Path

import pytest

from bids_fx.cli.checks import CONTRADICTIONS
from bids_fx.cli.parser import parse
from bids_fx.cli.table import OPTIONS, options_by_name
from bids_fx.errors import BIDSFXError, ExitCode

VALUES = {
    "--derivatives": "x",
    "--desc-label": "x",
    "--contrast": "a",
    "--hrf-model": "spm",
    "--confounds": "motion6",
    "--high-pass": "128",
    "--drift-model": "cosine",
    "--noise-model": "ols",
    "--smoothing-fwhm": "0",
    "--signal-scaling": "psc",
    "--fd-threshold": "1",
    "--dummy-scans": "0",
    "--slice-time-ref": "0.5",
    "--design-dir": "designs",
    "--model": "model.json",
    "--run-maps": "maps",
}
INSIDE = "BIDS_DIR, but not in a folder of its derivatives/"
PAIRS = [(one, other) for one, others, _ in CONTRADICTIONS for other in others]


def given(name):
    return f"{name}={VALUES[name]}" if name in VALUES else name


def problems(*argv):
    """What is wrong with the usage of a call: places and findings."""
    try:
        parse(argv)
    except BIDSFXError as error:
        return [
            (problem.where, problem.found)
            for problem in error.problems
            if problem.code == ExitCode.USAGE
        ]
    return []


# ------------------------------------------------------------------------------ contradictions


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_contradiction_names_both_options(one, other):
    (problem,) = problems("in", "out", "participant", given(one), given(other))
    assert problem[0] == f"{one} and {other}"


def test_contradictions_name_options_that_exist():
    assert {name for pair in PAIRS for name in pair} <= set(options_by_name())


@pytest.mark.parametrize(
    "pair",
    [
        ("--raw-bold", "--derivatives"),
        ("--design-dir", "--confounds"),
        ("--design-dir", "--hrf-model"),
        ("--run-maps", "--noise-model"),
        ("--run-maps", "--contrast"),
        ("--reports-only", "--dry-run"),
    ],
)
def test_known_contradiction_is_in_the_table(pair):
    assert pair in PAIRS


@pytest.mark.parametrize(
    "words",
    [
        "--design-dir d --contrast a --noise-model ols --smoothing-fwhm 4 -d x",
        "--run-maps m --run-dof 3 --combination unweighted --missing error --task-id a",
        "--raw-bold --confounds none",
        "--drift-model cosine --high-pass 90",
        "--dry-run --force",
    ],
)
def test_options_that_go_together(words):
    assert problems("in", "out", "participant", *words.split()) == []


@pytest.mark.parametrize("drift", ["none", "polynomial", "polynomial:2"])
def test_cut_off_without_a_cosine_drift_is_refused(drift):
    words = ("--high-pass", "90", "--drift-model", drift)
    ((where, found),) = problems("in", "out", "participant", *words)
    assert where == "--high-pass and --drift-model"
    assert drift in found


def test_drop_missing_contradicts_missing_error():
    words = ("--drop-missing", "--missing", "error")
    ((where, _),) = problems("in", "out", "participant", *words)
    assert where == "--drop-missing and --missing error"


def test_dof_without_run_maps_are_refused():
    ((where, _),) = problems("in", "out", "participant", "--run-dof", "9")
    assert where == "--run-dof"


# ------------------------------------------------------------------------------------- folders


@pytest.fixture(name="here")
def here_fixture(tmp_path, monkeypatch):
    """A folder with a dataset, `bids`, and derivatives inside and outside of it."""
    (tmp_path / "bids" / "derivatives" / "fmriprep").mkdir(parents=True)
    (tmp_path / "prep").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("out", "found"),
    [
        ("bids", "it is BIDS_DIR"),
        ("bids/../bids/.", "it is BIDS_DIR"),
        (".", "it holds BIDS_DIR"),
        ("/", "it holds BIDS_DIR"),
        ("bids/sub-01", "it lies in BIDS_DIR"),
        ("bids/derivatives_of_mine", "it lies in BIDS_DIR"),
        ("bids/derivatives/fmriprep", "it is --derivatives fmriprep"),
        ("bids/derivatives/fmriprep/fx", "it lies in --derivatives fmriprep"),
    ],
)
def test_output_among_the_input_is_refused(here, out, found):
    (problem,) = problems("bids", out, "participant")
    assert problem[0] == "OUTPUT_DIR"
    assert problem[1].startswith(found)


def test_output_that_is_the_folder_of_all_derivatives_is_refused(here):
    found = {text for _, text in problems("bids", "bids/derivatives", "participant", "-d", "prep")}
    assert found == {f"it lies in {INSIDE}"}


@pytest.mark.parametrize("out", ["out", "bids/derivatives/fx", "bids2", "bids/derivatives/a/b"])
def test_output_beside_the_input_is_accepted(here, out):
    assert problems("bids", out, "participant") == []


def test_output_holding_derivatives_outside_is_refused(here):
    (here / "all" / "prep").mkdir(parents=True)
    assert problems("bids", "all", "participant", "-d", "all/prep") == [
        ("OUTPUT_DIR", "it holds --derivatives prep")
    ]


def test_symbolic_link_to_the_input_is_refused(here):
    (here / "alias").symlink_to(here / "bids")
    assert problems("bids", "alias", "participant") == [("OUTPUT_DIR", "it is BIDS_DIR")]
    assert problems("alias", "bids/x", "participant")[0][1].startswith("it lies in BIDS_DIR")


def test_output_behind_a_link_into_the_input_is_refused(here):
    (here / "bids" / "code").mkdir()
    (here / "inner").symlink_to(here / "bids" / "code")
    ((_, found),) = problems("bids", "inner/out", "participant")
    assert found == f"it lies in {INSIDE}"


def test_folder_mounted_under_two_names_is_one_folder(here, monkeypatch):
    # What stat says of bind mounts, which a test cannot make.
    monkeypatch.setattr(Path, "samefile", lambda a, b: {a.name, b.name} == {"bids", "mounted"})
    assert problems("bids", "mounted", "participant") == [("OUTPUT_DIR", "it is BIDS_DIR")]


def test_derivatives_linked_to_another_disk_may_hold_the_output(here):
    (here / "data").mkdir()
    (here / "store").mkdir()
    (here / "data" / "derivatives").symlink_to(here / "store")
    assert problems("data", "data/derivatives/fx", "participant") == []


def test_loop_of_symbolic_links_is_no_crash(here):
    (here / "loop").symlink_to(here / "loop")
    assert problems("bids", "loop/out", "participant") == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("-w bids", ("--work-dir", "it is BIDS_DIR")),
        ("-w bids/work", ("--work-dir", f"it lies in {INSIDE}")),
        ("-w prep/work -d prep", ("--work-dir", "it lies in --derivatives prep")),
        ("-w maps --run-maps maps/sub", ("--work-dir", "it holds --run-maps")),
        ("-w out --design-dir d", ("--work-dir", "it is OUTPUT_DIR")),
        ("-w out/maps --run-maps out/maps", ("--work-dir", "it is --run-maps")),
        ("--run-maps out", ("OUTPUT_DIR", "it lies in --run-maps")),
        ("--design-dir out", ("OUTPUT_DIR", "it lies in --design-dir")),
        ("--bids-database-dir bids/db", ("--bids-database-dir", f"it lies in {INSIDE}")),
    ],
)
def test_folder_that_is_written_among_what_is_read_is_refused(here, words, problem):
    assert problems("bids", "out", "participant", *words.split()) == [problem]


def test_work_dir_above_everything_names_all_it_holds(here):
    found = problems("bids", "out", "participant", "-w", ".")
    assert ("--work-dir", "it holds OUTPUT_DIR") in found


@pytest.mark.parametrize(
    "words",
    ["-w out/work", "-w work", "-w bids/derivatives/work", "--bids-database-dir db"],
)
def test_folder_beside_what_is_read_is_accepted(here, words):
    assert problems("bids", "out", "participant", *words.split()) == []


# ------------------------------------------------------------------------------ the level group

#: Options that chains of programs pass to both levels, and what the level itself understands.
AT_GROUP = {
    *("--derivatives", "--participant-label", "--skip-bids-validation", "--nprocs"),
    *("--omp-nthreads", "--mem-mb", "--work-dir", "--config-file", "--notrack", "--verbose"),
    *("--qc-fail", "--log-json"),
}


def test_options_of_the_level_group_are_those_that_chains_pass_and_its_own():
    assert {option.name for option in OPTIONS if option.at_group} == AT_GROUP


def test_every_other_option_is_refused_at_the_level_group_by_name():
    words = [
        *("--contrast=a", "--model=auto", "--task-id", "x", "--dry-run", "--force"),
        *("--threshold=fdr", "--no-interactive", "--clean-workdir", "--resource-monitor"),
    ]
    found = problems("in", "out", "group", *words)

    assert {where for where, told in found if "level 'group'" in told} == {
        *("--contrast", "--model", "--task-id", "--dry-run", "--force"),
        *("--threshold", "--no-interactive", "--clean-workdir", "--resource-monitor"),
    }


def test_options_of_both_levels_are_taken_at_the_level_group():
    words = "-d x --participant-label 01 -w w --nprocs 2 --mem-mb 8G --notrack -v"
    more = "--skip-bids-validation --omp-nthreads 1 --qc-fail fd_mean>0.5"
    assert problems("in", "out", "group", *words.split(), *more.split()) == []


def test_preset_that_means_nothing_at_the_level_group_is_named_with_its_file(tmp_path):
    presets = tmp_path / "presets.toml"
    presets.write_text('nprocs = 1\nhrf-model = "spm"\n')
    ((where, _),) = problems("in", "out", "group", f"--config-file={presets}")
    assert where == "presets.toml: hrf-model"
