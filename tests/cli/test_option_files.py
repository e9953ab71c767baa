"""Presets in TOML and fMRIPrep's filter file."""

import json

import pytest

from bids_fx.cli.parser import parse
from bids_fx.cli.presets import filters_json, format_presets
from bids_fx.errors import BIDSFXError, ExitCode

PLACES = ("data_in", "data_out", "participant")


@pytest.fixture(name="preset")
def preset_fixture(tmp_path):
    """Return a function that parses a call with presets, or returns what is wrong with it."""

    def run(content, *words):
        path = tmp_path / "presets.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        try:
            return parse([*PLACES, "--config-file", str(path), *words])
        except BIDSFXError as error:
            return error

    return run


@pytest.fixture(name="filtered")
def filtered_fixture(tmp_path):
    """Return a function that parses a call with a filter file, or returns what is wrong."""

    def run(content):
        path = tmp_path / "filter.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        try:
            return parse([*PLACES, "--bids-filter-file", str(path)])
        except BIDSFXError as error:
            return error

    return run


# ------------------------------------------------------------------------------------ presets

PRESETS = """
task-id = ["faces", "task-rest"]
space = "T1w"
high_pass = 100
smoothing-fwhm = 5.5
raw-bold = false
combine-subset = true
contrast = ["-house + face", "a = b"]
dry-run = "json"
verbose = 2
n-cpus = 4
mem = "8G"
"""
WORDS = (
    *("--task-id", "faces", "rest", "--space", "T1w", "--high-pass", "100"),
    *("--smoothing-fwhm", "5.5", "--combine-subset", "--contrast", "-house + face"),
    *("--contrast", "a = b", "--dry-run=json", "-vv", "--nprocs", "4", "--mem", "8000"),
)


def test_presets_are_the_same_as_options(preset):
    assert preset(PRESETS) == parse([*PLACES, *WORDS])


def test_command_line_wins_over_presets(preset):
    invocation = preset(PRESETS, "-t", "other", "--high-pass", "90", "--nthreads", "1")
    assert invocation.data.tasks == ("other",)
    assert invocation.analysis.high_pass_s == 90
    assert invocation.execution.n_procs == 1
    assert invocation.data.spaces == ("T1w",)


def test_byte_order_mark_is_no_part_of_the_presets(preset):
    assert preset("\ufeffnprocs = 3").execution.n_procs == 3


def test_true_is_the_bare_option_of_dry_run(preset):
    assert preset("dry-run = true").execution.dry_run == "text"
    assert preset("dry-run = false").execution.dry_run is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "task = 'x'",
            r"presets.toml: task: there is no such option \(did you mean 'task-id'\?\)",
        ),
        ("config-file = 'x'", "no such option"),
        ("bids-dir = 'x'", "no such option"),
        ("[model]\nhigh-pass = 1", "give a text or a number"),
        ("high-pass = true", "high-pass: True is not possible; give a text or a number"),
        ("high-pass = [1]", "is not possible; give a text or a number"),
        ("high-pass = -1", "presets.toml: high-pass: '-1' is out of range"),
        ("force = 'yes'", "'yes' is not possible; give true or false"),
        ("force = 1", "1 is not possible; give true or false"),
        ("verbose = true", "True is not possible; give a whole number"),
        ("task-id = [true]", "give a list of texts or numbers"),
        ("nprocs = 1\nn_cpus = 2", "n_cpus: it repeats 'nprocs'"),
        ("nprocs = 2000-01-01", "give a text or a number"),
        ("nprocs = ", "it is no TOML"),
        (b"\xff\xfe", "it is no TOML"),
        ("a = " + "[" * 5000, "it is no TOML"),
    ],
)
def test_bad_preset_is_a_usage_error(preset, content, message):
    error = preset(content)
    assert isinstance(error, BIDSFXError)
    assert error.exit_code == ExitCode.USAGE
    with pytest.raises(BIDSFXError, match=message):
        raise error


def test_all_bad_presets_are_told_with_those_of_the_command_line(preset):
    error = preset("nprocs = 0\nfoo = 1", "--high-pass", "0")
    assert {problem.where for problem in error.problems} == {
        "presets.toml: nprocs",
        "presets.toml: foo",
        "--high-pass",
    }


def test_preset_contradicts_an_option_of_the_command_line(preset):
    assert "--raw-bold and --derivatives" in str(preset("raw-bold = true", "-d", "x"))


@pytest.mark.parametrize("option", ["--config-file", "--bids-filter-file"])
def test_file_of_options_that_is_absent_has_the_code_for_it(option):
    with pytest.raises(BIDSFXError) as caught:
        parse([*PLACES, option, "no_such_file"])
    assert caught.value.exit_code == ExitCode.MISSING_INPUT == 66


def test_settings_written_as_presets_give_the_same_call(tmp_path):
    words = (
        *WORDS[:-2],
        *("-d", "x=a/b", "c/fmriprep", "--confounds", "none", "--slice-time-ref", "0"),
        *("--missing", "error", "--combine-over", "run", "-w", 'wörk "1"\\\n😀', "--mem", "9e3"),
        *("--contrast", "`a\tb\x7f` - 脸", "--hrf-model", "fir:3"),
    )
    invocation = parse([*PLACES, *words])
    path = tmp_path / "again.toml"
    path.write_text(format_presets(invocation), encoding="utf-8")
    assert parse([*PLACES, "--config-file", str(path)]) == invocation


def test_defaults_are_not_written_as_presets():
    lines = format_presets(parse(PLACES)).splitlines()
    settings = [line.split(" = ")[0] for line in lines if not line.startswith("#")]
    assert settings == ["derivatives"]


def test_filters_stand_in_a_comment_or_in_the_file_that_is_named(tmp_path, filtered):
    call = filtered({"bold": {"session": None, "task": "faces"}})
    told = '# --bids-filter-file: {"bold": {"session": null, "task": "faces"}}'
    assert told in format_presets(call).splitlines()
    filters, config = tmp_path / "filters.json", tmp_path / "config.toml"
    filters.write_text(filters_json(call))
    config.write_text(format_presets(call, filters))
    again = parse([*PLACES, "--config-file", str(config)])
    assert again.data.filters == {"session": None, "task": "faces"}


def test_folder_with_a_line_break_does_not_end_its_comment(tmp_path):
    invocation = parse(["in\nforce = true", "out\x7f", "participant", "-t", "rest"])
    path = tmp_path / "again.toml"
    path.write_text(format_presets(invocation), encoding="utf-8")
    again = parse(["in", "out", "participant", "--config-file", str(path)])
    assert not again.execution.force
    assert again.data.tasks == ("rest",)


# -------------------------------------------------------------------------------- filter file


def test_filters_of_bold_are_kept_as_they_are(filtered):
    bold = {"session": None, "acquisition": "*", "run": [1, 2], "task": "faces"}
    assert filtered({"bold": bold}).data.filters == bold


def test_filters_of_other_images_are_noted_and_passed_over(filtered):
    invocation = filtered({"t1w": {"session": "1"}, "fmap": {}, "bold": {"run": 1}})
    assert invocation.data.filters == {"run": 1}
    (notice,) = invocation.notices
    assert "t1w, fmap" in notice.text
    assert not notice.warning


def test_no_notice_without_other_filters(filtered):
    assert filtered({"bold": {"run": 1}}).notices == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"blod": {"run": 1}}, r"no kind of images 'blod' \(did you mean 'bold'\?\)"),
        ({"bold": {"run": 1}, "meg": {}}, "no kind of images 'meg'"),
        ({"bold": {"rnu": 1}}, "rnu"),
        ({"bold": {"suffix": "cbv"}}, "cbv"),
        ({"bold": {"run": {"a": 1}}}, "'run' is {\"a\": 1}; give a label"),
        ({"bold": {"run": [True]}}, "give a label"),
        ({"bold": {"run": 1.5}}, "give a label"),
        ({"bold": ["run"]}, "it holds no entities"),
        ([1], "it holds no entities"),
        ("{", "it is no JSON"),
        ("[" * 100000, "it is no JSON"),
    ],
)
def test_bad_filter_file_is_a_usage_error(filtered, content, message):
    error = filtered(content)
    assert isinstance(error, BIDSFXError)
    assert error.exit_code == ExitCode.USAGE
    with pytest.raises(BIDSFXError, match=message):
        raise error
