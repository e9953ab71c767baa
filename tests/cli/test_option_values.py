"""Values that options refuse, and what they say."""

import pytest

from bids_fx.cli.parser import parse
from bids_fx.errors import BIDSFXError, ExitCode

PLACES = ("data_in", "data_out", "participant")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--participant-label 01,02", "'01,02' is no label of 'sub-'.*separate several by spaces"),
        ("--participant-label ses-01", "'ses-01' is no label"),
        ("--participant-label ../x", "is no label"),
        ("--task-id task-", "'task-' is no label of 'task-'"),
        ("--desc-label a_b", "is no label of 'desc-'"),
        ("--space MNI152NLin2009cAsym:cohort-1", "write SPACE or SPACE:res-LABEL"),
        ("--space T1w:res-1:res-2", "is not understood"),
        ("--space T1w:res-", "is no space"),
        ("--space a/b", "is no space"),
        ("-d =x", "'' cannot name a dataset"),
        ("-d raw=x", "'raw' cannot name a dataset"),
        ("-d a=x a=y", "two datasets are named 'a'"),
        ("-d a=", "the path is empty"),
        ("-d ~no_such_user_of_this_machine/x", "leads nowhere"),
        ("--high-pass 0", "'0' is out of range; give a number > 0"),
        ("--high-pass -128", "'-128' is out of range"),
        ("--high-pass nan", "'nan' is out of range"),
        ("--high-pass inf", "'inf' is out of range"),
        ("--high-pass 0.008", "0.008 Hz is a period of 125 s"),
        ("--high-pass long", "'long' is no number"),
        ("--high-pass 100001", "'100001' is out of range; give a number > 0 and <= 100000"),
        ("--hrf-model fsl", "unknown HRF model 'fsl'"),
        ("--hrf-model fir:0", "unknown HRF model 'fir:0'"),
        ("--hrf-model fir:0,1001", "has a number above 1000; give a smaller one"),
        ("--hrf-model fir:1001", "has a number above 1000; give a smaller one"),
        ("--hrf-model doublegamma:6,16,1,1,1e13", "above 1 .* and at most 1000000"),
        ("--qc-fail fd_mean>abc", r"'abc' is no number; give a number\.$"),
        ("--drift-model cosinus", r"unknown drift model 'cosinus' \(did you mean 'cosine'"),
        ("--noise-model ar2", "unknown noise model 'ar2'"),
        ("--smoothing-fwhm -1", "'-1' is out of range; give a number >= 0"),
        ("--smoothing-fwhm 100.1", "'100.1' is out of range; give a number >= 0 and <= 100"),
        ("--smoothing 5:session", "level 'session' is not available"),
        ("--smoothing 5:dataset:iso", "level 'dataset' is not available"),
        ("--smoothing 5:run:isoblurto", "kind 'isoblurto' is not available"),
        ("--smoothing 5:run:iso:x", "is not understood"),
        ("--signal-scaling percent", "there is no 'percent'; .*psc, grand-mean, none"),
        ("--fd-threshold 0", "give a number > 0"),
        ("--fd-threshold 1001", "give a number > 0 and <= 1000"),
        ("--dummy-scans 100001", "give a whole number >= 0 and <= 100000"),
        ("--dummy-scans -1", "'-1' is not possible; give a whole number >= 0"),
        ("--dummy-scans 1.5", "'1.5' is not possible"),
        ("--slice-time-ref 1.01", "give a number >= 0 and <= 1"),
        ("--slice-time-ref -0.01", "give a number >= 0 and <= 1"),
        ("--combination fixed", "there is no 'fixed'; choose one of weighted, unweighted"),
        ("--combination wieghted", "did you mean 'weighted'"),
        ("--combine-over task", "never combined over 'task': tasks are different"),
        ("--combine-over run,space", "never combined over 'space'"),
        ("--combine-over resolution", "never combined over 'resolution'"),
        ("--combine-over echo", "never combined over 'echo'"),
        ("--combine-over subject", "never combined over 'subject'"),
        ("--combine-over sesion", r"no entity 'sesion'; did you mean 'session'\?"),
        ("--missing keep", "there is no 'keep'; choose one of drop, error"),
        ("--run-maps m --run-dof 0", "give a number > 0"),
        ("--run-maps m --run-dof 100001", "give a number > 0 and <= 100000"),
        ("--nprocs 100001", "give a whole number >= 1 and <= 100000"),
        ("--omp-nthreads 100001", "give a whole number >= 1 and <= 100000"),
        ("--nprocs 0", "give a whole number >= 1"),
        ("--nprocs many", "'many' is not possible"),
        ("--omp-nthreads 0", "give a whole number >= 1"),
        ("--mem 8", "'8' is 8 MB; give 256 MB or more, for example 8G"),
        ("--mem 1001T", "'1001T' is more than any machine has; give 1000T or less"),
        ("--mem 1e308T", "'1e308T' is more than any machine has"),
        ("--mem much", "'much' is no amount of memory"),
        ("--mem -8G", "--mem: expected one argument"),
        ("--dry-run=html", "there is no 'html'; choose one of text, json"),
        ("--confounds none motion6", "'none' stands beside other confounds"),
        ("--contrast=", "--contrast: it is empty"),
        ("--work-dir=", "--work-dir: the path is empty"),
        ("--qc-fail fd_maen>0.5", "there is no measure 'fd_maen'; did you mean 'fd_mean'"),
        ("--qc-fail fd_mean=0.5", "'fd_mean=0.5' is no limit"),
        ("--qc-fail fd_mean>much", "'much' is no number"),
    ],
)
def test_value_is_refused_with_what_to_give(words, message):
    with pytest.raises(BIDSFXError, match=message) as caught:
        parse([*PLACES, *words.split()])
    assert caught.value.exit_code == ExitCode.USAGE


def test_every_bad_value_of_a_list_is_told():
    with pytest.raises(BIDSFXError) as caught:
        parse([*PLACES, "--run-id", "1", "a_b", "2", "c/d"])
    assert [problem.found.split()[0] for problem in caught.value.problems] == ["'a_b'", "'c/d'"]


@pytest.mark.parametrize(
    ("text", "mb"),
    [("500", 500), ("500M", 500), ("8G", 8000), ("8 gb", 8000), ("2e6K", 2000), ("0.5T", 5e5)],
)
def test_memory_units_are_decimal(text, mb):
    assert parse([*PLACES, "--mem", text]).execution.mem_mb == mb


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/fmriprep", "b/fmriprep", "c/fmriprep"], ["fmriprep", "fmriprep2", "fmriprep3"]),
        (["fmriprep=a", "b/fmriprep"], ["fmriprep", "fmriprep2"]),
        (["x/raw"], ["raw2"]),
        (["x/my data!"], ["mydata"]),
        (["x/.hidden"], ["hidden"]),
        (["/"], ["derivatives"]),
        (["a", "a"], ["a"]),
        (["./a=b"], ["ab"]),
    ],
)
def test_datasets_get_different_names_of_their_folders(paths, names):
    data = parse(["/nowhere/in", "/nowhere/out", "participant", "--raw-bold"]).data
    assert data.derivatives == ()
    found = parse_derivatives(paths)
    assert [name for name, _ in found] == names


def parse_derivatives(paths):
    """The derivatives of a call whose output lies in none of them."""
    from bids_fx.cli.table import options_by_name

    option = options_by_name()["-d"]
    return option.finish([option.convert(path) for path in paths])


def test_home_is_expanded_where_the_shell_does_not(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse([*PLACES, "--work-dir=~/work"]).execution.work_dir == tmp_path / "work"


def test_parent_folders_are_resolved_as_the_system_does(tmp_path, monkeypatch):
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    monkeypatch.chdir(tmp_path)
    assert parse([*PLACES, "-w", "link/../w"]).execution.work_dir == tmp_path / "far" / "w"
    assert parse([*PLACES, "-w", "link/w"]).execution.work_dir == tmp_path / "link" / "w"
