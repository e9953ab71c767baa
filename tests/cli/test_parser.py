"""The command line as a whole: every option, argparse's traps, and what is printed."""

import json
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from bids_fx.cli.parser import build_parser, parse
from bids_fx.cli.presets import format_presets
from bids_fx.cli.table import IMMEDIATE, LEVELS, OPTIONS, options_by_name
from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.report_settings import QualityLimit, ReportSettings, Threshold
from bids_fx.settings import (
    AnalysisSettings,
    DataSelection,
    ExecutionSettings,
    Invocation,
    chosen_settings,
)

PLACES = ("data_in", "data_out", "participant")
RECORDS = {
    "data": DataSelection,
    "analysis": AnalysisSettings,
    "execution": ExecutionSettings,
    "report": ReportSettings,
}
HERE = Path.cwd()

#: Every name of an option that is in force, values for it, and the setting they must make.
ACCEPTED = [
    ("-d a", "data.derivatives", (("a", HERE / "a"),)),
    (
        "--derivatives x=a /b/fmriprep",
        "data.derivatives",
        (("x", HERE / "a"), ("fmriprep", "/b/fmriprep")),
    ),
    ("--raw-bold", "data.raw_bold", True),
    ("--participant-label sub-01 02", "data.participants", ("01", "02")),
    ("--session-label ses-pre post", "data.sessions", ("pre", "post")),
    ("-t faces task-rest", "data.tasks", ("faces", "rest")),
    ("--task-id faces", "data.tasks", ("faces",)),
    ("--run-id run-01 2", "data.runs", ("01", "2")),
    (
        "--space T1w MNI152NLin2009cAsym:res-2 func",
        "data.spaces",
        ("T1w", "MNI152NLin2009cAsym:res-2", "func"),
    ),
    ("--output-spaces space-T1w", "data.spaces", ("T1w",)),
    ("--desc-label desc-clean", "data.desc", "clean"),
    ("--links inside", "data.links", "inside"),
    ("--bids-database-dir db", "data.database_dir", HERE / "db"),
    ("--skip-bids-validation", "execution.skip_bids_validation", True),
    ("--skip-bids-validator", "execution.skip_bids_validation", True),
    ("-m model.json", "data.model", HERE / "model.json"),
    ("--model auto", "data.model", "auto"),
    ("--write-model", "execution.write_model", True),
    (
        "--threshold fdr",
        "report.threshold",
        Threshold(correction="fdr", error_rate=0.05),
    ),
    (
        "--threshold=uncorrected:0.01",
        "report.threshold",
        Threshold(correction="uncorrected", error_rate=0.01),
    ),
    ("--no-interactive", "report.static", True),
    (
        "--qc-fail fd_mean>0.5 --qc-fail tsnr_median<20",
        "report.quality_limits",
        (
            QualityLimit(measure="fd_mean", sign=">", value=0.5),
            QualityLimit(measure="tsnr_median", sign="<", value=20.0),
        ),
    ),
    ("--contrast face-house", "analysis.contrasts", ("face-house",)),
    ("--hrf-model Glover+derivative", "analysis.hrf_model", "glover + derivative"),
    (
        "--confounds motion24 a_comp_cor_0[0-4] motion24",
        "analysis.confounds",
        ("motion24", "a_comp_cor_0[0-4]"),
    ),
    ("--confounds none", "analysis.confounds", ()),
    ("--high-pass 100", "analysis.high_pass_s", 100.0),
    ("--drift-model polynomial:3", "analysis.drift_model", "polynomial:3"),
    ("--noise-model none", "analysis.noise_model", "ols"),
    ("--noise-model ols", "analysis.noise_model", "ols"),
    ("--noise-model AR1", "analysis.noise_model", "ar1"),
    ("--noise-model arma11", "analysis.noise_model", "arma11"),
    ("--smoothing-fwhm 5.5", "analysis.smoothing_fwhm_mm", 5.5),
    ("--smoothing 6:run:iso", "analysis.smoothing_fwhm_mm", 6.0),
    ("--signal-scaling grand-mean", "analysis.signal_scaling", "grand-mean"),
    ("--fd-threshold 0.5", "analysis.fd_threshold_mm", 0.5),
    ("--dummy-scans 4", "analysis.dummy_scans", 4),
    ("--slice-time-ref 0", "analysis.slice_time_ref", 0.0),
    ("--slice-time-ref 1", "analysis.slice_time_ref", 1.0),
    ("--slice-time-ref middle", "analysis.slice_time_ref", 0.5),
    ("--combination unweighted", "analysis.combination", "unweighted"),
    (
        "--combine-over direction,session acquisition",
        "analysis.combine_over",
        ("run", "ses", "acq", "dir"),
    ),
    ("--combine-over run", "analysis.combine_over", ("run",)),
    ("--combine-subset", "analysis.combine_subset", True),
    ("--missing error", "analysis.missing", "error"),
    ("--design-dir designs", "data.design_dir", HERE / "designs"),
    ("--run-maps maps", "data.run_maps_dir", HERE / "maps"),
    ("--run-maps maps --run-dof 93.5", "analysis.run_dof", 93.5),
    ("--nprocs 8", "execution.n_procs", 8),
    ("--nthreads 8", "execution.n_procs", 8),
    ("--n-cpus 8", "execution.n_procs", 8),
    ("--omp-nthreads 2", "execution.omp_nthreads", 2),
    ("--mem-mb 4000", "execution.mem_mb", 4000.0),
    ("--mem 8G", "execution.mem_mb", 8000.0),
    ("--use-plugin p.yml", "execution.plugin_file", HERE / "p.yml"),
    ("--nipype-plugin-file p.yml", "execution.plugin_file", HERE / "p.yml"),
    ("-w work", "execution.work_dir", HERE / "work"),
    ("--work-dir data_out/work", "execution.work_dir", HERE / "data_out/work"),
    ("--clean-workdir", "execution.clean_work_dir", True),
    ("--stop-on-first-crash", "execution.stop_on_first_crash", True),
    ("--force", "execution.force", True),
    ("--dry-run", "execution.dry_run", "text"),
    ("--dry-run=text", "execution.dry_run", "text"),
    ("--dry-run=json", "execution.dry_run", "json"),
    ("--dry-run json", "execution.dry_run", "json"),
    ("--reports-only", "execution.reports_only", True),
    ("--boilerplate-only", "execution.boilerplate_only", True),
    ("--write-graph", "execution.write_graph", True),
    ("--resource-monitor", "execution.resource_monitor", True),
    ("--log-json", "execution.log_json", True),
    ("-v", "execution.verbosity", 1),
    ("-vv --verbose", "execution.verbosity", 3),
]
#: The contract: what scripts may rely on.
CONTRACT_TEXT = """
-d --derivatives --raw-bold --participant-label --session-label -t --task-id --run-id --space
--output-spaces --desc-label --bids-filter-file --links --bids-database-dir --skip-bids-validation
--skip-bids-validator -m --model --write-model --contrast --hrf-model --confounds --high-pass
--drift-model --noise-model --smoothing-fwhm --smoothing --signal-scaling --fd-threshold
--dummy-scans --slice-time-ref --combination --combine-over --combine-subset --missing
--drop-missing
--design-dir --run-maps --run-dof --nprocs --nthreads --n-cpus --omp-nthreads --mem-mb --mem
--use-plugin --nipype-plugin-file -w --work-dir --clean-workdir --stop-on-first-crash --force
--config-file --dry-run --reports-only --boilerplate-only --write-graph --resource-monitor
--log-json --notrack -v --version --bids-exec-spec --threshold --no-interactive --qc-fail
"""
CONTRACT = CONTRACT_TEXT.split()
#: Options that fill no setting by themselves; each has a test of its own.
APART = {"--bids-filter-file", "--config-file", "--drop-missing", "--notrack"}


def setting(invocation: Invocation, place: str) -> object:
    record, name = place.split(".")
    return getattr(getattr(invocation, record), name)


def refused(*argv: str) -> BIDSFXError:
    with pytest.raises(BIDSFXError) as caught:
        parse(argv)
    return caught.value


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code in (None, 0)
    return capsys.readouterr().out


# ------------------------------------------------------------------------------- the options


@pytest.mark.parametrize(
    ("words", "place", "expected"), ACCEPTED, ids=[row[0] for row in ACCEPTED]
)
def test_option_makes_its_setting(words, place, expected):
    invocation = parse([*PLACES, *words.split()])
    if place == "data.derivatives":
        expected = tuple((name, Path(path)) for name, path in expected)
    assert setting(invocation, place) == expected


@pytest.mark.parametrize("words", [row[0] for row in ACCEPTED])
def test_the_config_file_that_a_call_leaves_repeats_it_from_anywhere(words, tmp_path, monkeypatch):
    call = parse([*PLACES, *words.split()])
    path = tmp_path / "config.toml"
    path.write_text(format_presets(call), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    places = [str(call.data.bids_dir), str(call.execution.out_dir), "participant"]
    again = parse([*places, "--config-file", str(path)])
    assert again == call


@pytest.mark.parametrize("words", [row[0] for row in ACCEPTED if row[0].startswith("--")])
def test_underscores_are_hyphens_in_long_options(words):
    name, *values = words.split()
    spelled = name.partition("=")[0].replace("-", "_").replace("__", "--", 1)
    spelled += name[len(spelled) :]
    assert parse([*PLACES, spelled, *values]) == parse([*PLACES, name, *values])


def test_every_option_of_the_contract_is_accepted():
    tested = {word.partition("=")[0] for row in ACCEPTED for word in row[0].split()}
    assert set(CONTRACT) <= tested | APART | set(IMMEDIATE)
    assert {name for option in OPTIONS for name in option.names} <= {*CONTRACT, "--verbose"}


def test_every_setting_is_filled_by_exactly_one_option():
    filled = sorted(option.field for option in OPTIONS if option.field is not None)
    every = {
        f"{record}.{field.name}" for record, kind in RECORDS.items() for field in fields(kind)
    }
    by_hand = {"data.bids_dir", "data.filters", "data.scope", "execution.out_dir"}
    by_hand |= {"analysis.model_name", "data.participants_by"}
    assert filled == sorted(every - by_hand)


def test_defaults_are_those_of_the_settings():
    invocation = parse(PLACES)
    assert invocation.analysis == AnalysisSettings()
    assert chosen_settings(invocation.analysis) == ()
    fmriprep = HERE / "data_in" / "derivatives" / "fmriprep"
    for record in (invocation.data, invocation.execution):
        for field in fields(record):
            if field.default is not MISSING and field.name != "derivatives":
                assert getattr(record, field.name) == field.default
    assert invocation.data.derivatives == (("fmriprep", fmriprep),)
    assert (invocation.data.bids_dir, invocation.execution.out_dir) == (
        HERE / "data_in",
        HERE / "data_out",
    )


@pytest.mark.parametrize("flag", ["--raw-bold", "--run-maps=maps"])
def test_no_derivatives_are_assumed_where_none_are_read(flag):
    assert parse([*PLACES, flag]).data.derivatives == ()


@pytest.mark.parametrize(
    "name", ["-d", "--derivatives", "-t", "--participant-label", "--confounds"]
)
def test_list_options_extend_when_repeated(name):
    once = parse([*PLACES, name, "a", "b"])
    assert parse([*PLACES, name, "a", name, "b"]) == once


def test_contrasts_are_gathered_in_order():
    words = ["--contrast", "b - a", "--contrast=a", "--contrast", "B = b"]
    assert parse([*PLACES, *words]).analysis.contrasts == ("b - a", "a", "B = b")


def test_drop_missing_means_missing_drop():
    assert parse([*PLACES, "--drop-missing"]).analysis.missing == "drop"
    assert parse([*PLACES, "--drop-missing", "--missing", "drop"]).analysis.missing == "drop"


def test_notrack_changes_nothing():
    assert parse([*PLACES, "--notrack"]) == parse(PLACES)


def test_options_are_not_abbreviated():
    error = refused(*PLACES, "--participant", "01")
    assert "--participant: there is no such option" in str(error)


def test_unknown_option_names_the_closest():
    error = refused(*PLACES, "--participant-lable", "01")
    (problem,) = error.problems
    assert "'--participant-label'" in problem.found
    assert error.exit_code == ExitCode.USAGE


def test_all_problems_come_in_one_list():
    words = "--nprocs 0 --high-pass x --space a:b --wrong --raw-bold -d x --run-dof 3"
    error = refused("data_in", "data_out", "nowhere", *words.split())
    assert {problem.where for problem in error.problems} == {
        *("--wrong", "--space", "--high-pass", "--run-dof", "--nprocs"),
        "--raw-bold and --derivatives",
    }
    assert error.exit_code == ExitCode.USAGE


# --------------------------------------------------------------------------- the positionals


def test_unknown_level_has_its_own_exit_code():
    error = refused("data_in", "data_out", "run")
    assert error.exit_code == ExitCode.UNKNOWN_LEVEL == 17
    assert "no level of analysis 'run'; use participant or group" in str(error)


@pytest.mark.parametrize("level", LEVELS)
def test_level_is_read(level):
    assert parse(["data_in", "data_out", level]).level == level


def test_level_in_front_is_told():
    assert "in this order" in str(refused("participant", "data_in", "data_out"))


def test_positionals_behind_a_list_option_are_told_how_to_stand():
    error = refused("-d", "fmriprep", *PLACES)
    (problem,) = error.problems
    assert problem.where == "-d"
    assert "BIDS_DIR, OUTPUT_DIR, LEVEL missing" in problem.found
    assert "it took fmriprep, data_in, data_out, participant" in problem.found
    assert problem.remedy == "put BIDS_DIR OUTPUT_DIR LEVEL first, or -- before them"


def test_level_behind_a_list_option_is_told():
    (problem,) = refused("data_in", "data_out", "--task-id", "rest", "participant").problems
    assert (problem.where, problem.found[:13]) == ("--task-id", "LEVEL missing")


def test_swallowed_positionals_are_told_whatever_the_level():
    (problem,) = refused("-d", "x", "data_in", "data_out", "group-level").problems
    assert problem.where == "-d"


def test_swallowed_level_is_told_though_it_is_the_only_value():
    (problem,) = refused("data_in", "data_out", "-t", "participant").problems
    assert (problem.where, problem.found[:13]) == ("-t", "LEVEL missing")


def test_positionals_behind_two_hyphens_are_read():
    assert parse(["-d", "x", "--", *PLACES]) == parse([*PLACES, "-d", "x"])


def test_positionals_may_stand_between_options():
    words = ["--force", "data_in", "-w", "work", "data_out", "--nprocs", "2", "participant"]
    assert parse(words) == parse([*PLACES, "--force", "-w", "work", "--nprocs", "2"])


def test_folder_behind_two_hyphens_may_look_like_an_option():
    assert parse(["--", "--force", "out", "participant"]).data.bids_dir == HERE / "--force"


def test_missing_positionals_without_a_list_option():
    (problem,) = refused("data_in", "-w", "x").problems
    assert problem.found == "OUTPUT_DIR, LEVEL missing"
    assert "-- before them" in problem.remedy


def test_superfluous_argument_is_refused():
    assert "more: stands behind" in str(refused(*PLACES, "more"))


def test_bare_dry_run_does_not_swallow_a_positional():
    invocation = parse(["--dry-run", *PLACES])
    assert invocation.execution.dry_run == "text"
    assert invocation.data.bids_dir == HERE / "data_in"


@pytest.mark.parametrize("text", ["-house + face", "-house", "-2*face", "--face", "-hat", "-1 a"])
def test_contrast_may_begin_with_a_minus_sign(text):
    assert parse([*PLACES, "--contrast", text]).analysis.contrasts == (text,)
    assert parse(["--contrast", text, *PLACES]).analysis.contrasts == (text,)


def test_contrast_that_is_an_option_is_read_when_it_is_joined():
    assert parse([*PLACES, "--contrast=-d"]).analysis.contrasts == ("-d",)
    assert "--contrast: expected one argument" in str(refused(*PLACES, "--contrast", "--force"))


def test_option_without_its_value_is_a_usage_error():
    error = refused(*PLACES, "--high-pass")
    assert error.exit_code == ExitCode.USAGE
    assert "--high-pass: expected one argument" in str(error)


@pytest.mark.parametrize("argv", [("", "out", "participant"), ("in", " ", "participant")])
def test_empty_folder_is_refused(argv):
    # An unset variable of a shell script must not become the current folder.
    assert "the path is empty" in str(refused(*argv))


# ------------------------------------------------------------------------- what is printed


def test_version_is_printed(capsys):
    assert printed(capsys, "--version").startswith("bids_fx ")


def test_help_names_every_option_and_default_within_100_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = printed(capsys, "--help")
    words = set(text.replace(",", " ").replace("[", " ").split())
    assert set(CONTRACT) <= words
    assert max(map(len, text.splitlines())) <= 100
    joined = " ".join(text.split())
    for option in OPTIONS:
        assert option.default_text is None or f"(default: {option.default_text})" in joined
    assert "--high-pass SECONDS" in joined


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("--high-pass", "128"),
        ("--confounds", "motion6 nss"),
        ("--derivatives", "BIDS_DIR/derivatives/fmriprep"),
        ("--force", None),
        ("--run-dof", None),
    ],
)
def test_help_shows_the_default_of_the_setting_or_what_holds_without(name, text):
    assert options_by_name()[name].default_text == text


def test_help_is_the_parsers():
    usage = "usage: bids_fx BIDS_DIR OUTPUT_DIR {participant,group} [options]"
    assert build_parser().format_help().startswith(usage)


def test_descriptor_is_printed_as_json(capsys):
    content = json.loads(printed(capsys, "--bids_exec_spec"))
    assert content["schema-version"] == "0.5"
    assert content["custom"]["BIDSApplicationVersion"]


def test_parsing_needs_no_numerical_library():
    code = (
        "import sys; from bids_fx.cli.parser import parse; parse(['in', 'out', 'participant']); "
        "heavy = {'numpy', 'scipy', 'pandas', 'nibabel', 'nipype', 'bids', 'matplotlib'}; "
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
