"""The whole program on a dataset one file of which is broken, and on any command line."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example
from hypothesis import strategies as st

from bids_fx.cli.parser import parse
from bids_fx.cli.plugin_file import read_plugin
from bids_fx.cli.presets import filters_json, format_presets
from bids_fx.cli.run import main
from bids_fx.cli.table import OPTIONS
from tests.fuzzing import (
    TEXTS,
    changed_bytes,
    changed_json,
    changed_table,
    fuzz,
    json_text,
    keys_of,
    only_our_errors,
)
from tests.model_files import PLAIN
from tests.synthetic import DatasetSpec, make_dataset

#: What a call that looks at its input, and does nothing, may end with.
CODES = (0, 1, 2, 16, 18, 65, 66)
_TRACEBACK = re.compile(r"Traceback|^\w*(Error|Warning): ", re.MULTILINE)
_PLUGIN = "plugin: MultiProc\nplugin_args:\n  n_procs: 2\n  memory_gb: 4\n"
_CONFIG = 'hrf-model = "spm"\nconfounds = ["motion6"]\nhigh-pass = 100\nforce = true\n'
SPEC = DatasetSpec(shape=(5, 5, 4), n_volumes=30, t1w=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dataset and the files of options that calls on it take."""
    folder = tmp_path_factory.mktemp("program")
    truth = make_dataset(folder / "data", SPEC)
    for number, run in enumerate(truth.runs, start=1):
        name = folder / "designs" / f"sub-01_task-main_run-{number}_design.tsv"
        name.parent.mkdir(exist_ok=True)
        rows = ["face\thouse\tconstant"]
        rows += [f"{np.sin(scan):.3f}\t{np.cos(scan):.3f}\t1" for scan in range(run.n_volumes)]
        name.write_text("\n".join(rows) + "\n")
    columns = [
        {"Name": name, "Role": role, "Condition": name if role == "condition" else None}
        for name, role in (("face", "condition"), ("house", "condition"), ("constant", "constant"))
    ]
    sidecar = folder / "designs" / "sub-01_task-main_run-1_design.json"
    sidecar.write_text(json.dumps({"Columns": [{**one, "Basis": None} for one in columns]}))
    (folder / "model.json").write_text(json.dumps(PLAIN))
    (folder / "rich.json").write_text(json.dumps(_transforming()))
    (folder / "filters.json").write_text(json.dumps({"bold": {"task": "main", "run": [1, 2]}}))
    (folder / "config.toml").write_text(_CONFIG)
    return folder


def _transforming() -> dict[str, object]:
    """Return a model with instructions that suits the dataset."""
    raw = json.loads(json.dumps(PLAIN).replace('"face"', '"trial_type.face"'))
    raw = json.loads(json.dumps(raw).replace('"house"', '"trial_type.house"'))
    raw["Nodes"][0]["Transformations"] = {
        "Transformer": "pybids-transforms-v1",
        "Instructions": [
            {"Name": "Factor", "Input": ["trial_type"]},
            {"Name": "Convolve", "Input": ["trial_type.face", "trial_type.house"], "Model": "spm"},
        ],
    }
    return raw


#: Options of a call, and the folder or file in which something is broken for it.
CALLS: tuple[tuple[tuple[str, ...], str], ...] = (
    ((), "data"),
    (("-m", "model.json"), "model.json"),
    (("-m", "rich.json"), "rich.json"),
    (("-m", "rich.json"), "data"),
    (("--design-dir", "designs", "--contrast", "face - house"), "designs"),
    (("--bids-filter-file", "filters.json"), "filters.json"),
    (("--config-file", "config.toml"), "config.toml"),
)


def _words(home: Path, options: Sequence[str]) -> list[str]:
    there = (str(home / one) if (home / one).exists() else one for one in options)
    return [str(home / "data"), str(home / "out"), "participant", *there, "--skip-bids-validation"]


def _files(path: Path) -> list[Path]:
    """Return a file itself, or all in a folder, sorted."""
    return [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())


@st.composite
def broken(draw: st.DrawFn, path: Path) -> tuple[Path, bytes | None]:
    """Return a file of a folder and what stands in it instead; None where it is gone."""
    file = draw(st.sampled_from(_files(path)))
    content = file.read_bytes()
    kind = draw(st.sampled_from(("form", "form", "form", "form", "bytes", "gone")))
    if kind == "gone":
        return file, None
    if kind == "form" and file.suffix == ".json":
        valid = json.loads(content)
        return file, json_text(draw(changed_json(valid, keys_of(valid)))).encode()
    if kind == "form" and file.suffix == ".tsv":
        return file, draw(changed_table(content.decode())).encode(errors="surrogatepass")
    if kind == "form" and file.suffix == ".gz":
        image = gzip.decompress(content)
        head = draw(changed_bytes(image[:352], (b"\0", b"\xff" * 8, b"\x7f\xff", b"nan")))
        return file, gzip.compress(head + image[352:], 1)
    return file, draw(changed_bytes(content))


def _call(words: Sequence[str]) -> tuple[int, str, str]:
    """Return the exit code of a call, and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(("options", "place"), CALLS, ids=lambda part: str(part)[:30])
@fuzz(5, soak=300, is_slow=True, data=st.data())
def test_a_broken_file_is_told_and_never_ends_the_program(options, place, home, data):
    file, content = data.draw(broken(home / place))
    before = file.read_bytes()
    try:
        file.unlink() if content is None else file.write_bytes(content)
        code, out, err = _call([*_words(home, options), "--dry-run"])
    finally:
        file.write_bytes(before)
    assert code in CODES, err
    assert _TRACEBACK.search(err) is None, err
    assert code == 0 or "problem" in err or "ERROR" in out
    (out + err).encode()


_OPTION_NAMES = [name for option in OPTIONS for name in option.names]
_LIKELY = st.sampled_from(
    (
        *("data", "out", "participant", "group", "spm", "glover", "fir:0-4", "none", "motion6"),
        *("cosine", "ols", "ar1", "2", "0.5", "128", "4G", "face - house", "a = face", "weighted"),
        *("drop", "auto", "x=data", "MNI152NLin2009cAsym:res-2", "T1w", "fdr", "fd_mean>0.5"),
        *("sub-01", "01", "run", "session,dir", "--", "--help", "--version"),
    )
)
_WORDS = st.one_of(
    st.sampled_from(_OPTION_NAMES),
    _LIKELY,
    st.builds("{}={}".format, st.sampled_from(_OPTION_NAMES), _LIKELY | TEXTS),
    TEXTS,
)


@fuzz(200, soak=10_000, words=st.lists(_WORDS, max_size=8), begun=st.booleans())
@example(words=["--" + "x" * 100_000], begun=True)
@example(words=["--contrast"] * 500, begun=True)
@example(words=["--config-file", "\0"], begun=True)
@example(words=["--config-file=" + "x" * 5000], begun=True)
def test_a_command_line_is_settings_or_is_refused(words, begun, tmp_path):
    start = [str(tmp_path / "data"), str(tmp_path / "out"), "participant"] if begun else []
    with redirect_stdout(io.StringIO()), only_our_errors():
        try:
            invocation = parse([*start, *words])
        except SystemExit as ended:  # it has shown what was asked for
            check_code(ended)
            return
        _check_written(invocation, tmp_path, start)


def check_code(ended: SystemExit) -> None:
    """Check that a call ended well."""
    assert ended.code in (None, 0)


def _check_written(invocation, folder: Path, start: Sequence[str]) -> None:
    """Check that the config file which repeats a call does so."""
    if not start:
        return
    config = folder / "config.toml"
    filters = None
    if invocation.data.filters:
        filters = folder / "filters.json"
        filters.write_text(filters_json(invocation))
    config.write_text(format_presets(invocation, filters), encoding="utf-8")
    again = parse(
        [
            *map(str, (invocation.data.bids_dir, invocation.execution.out_dir)),
            invocation.level,
            "--config-file",
            str(config),
        ]
    )
    assert again.data == invocation.data
    assert again.analysis == invocation.analysis
    assert again.report == invocation.report
    assert again.execution == invocation.execution
    assert again.given == invocation.given


@st.composite
def calls(draw: st.DrawFn) -> list[str]:
    """Return options with values that they can have, each at most once."""
    values = {
        "--task-id": st.sampled_from(("main", "task-x")),
        "--participant-label": st.sampled_from(("01", "sub-02")),
        "--space": st.sampled_from(("T1w", "MNI152NLin2009cAsym:res-2", "func")),
        "--contrast": TEXTS.map(lambda text: f"x = {text}1"),
        "--hrf-model": st.sampled_from(("spm", "glover", "fir:4", "spm + derivative")),
        "--confounds": st.sampled_from(("motion6", "none", "trans_*")),
        "--high-pass": st.floats(1, 1000).map(str),
        "--smoothing-fwhm": st.floats(0, 20).map(str),
        "--fd-threshold": st.floats(0.1, 5).map(str),
        "--dummy-scans": st.integers(0, 9).map(str),
        "--slice-time-ref": st.floats(0, 1).map(str),
        "--noise-model": st.sampled_from(("ols", "ar1", "ar1-yw", "arma11")),
        "--signal-scaling": st.sampled_from(("none", "grand-mean", "psc")),
        "--combination": st.sampled_from(("weighted", "unweighted")),
        "--combine-over": st.sampled_from(("run", "session,dir", "acq")),
        "--mem-mb": st.integers(500, 10**6).map(str),
        "--nprocs": st.integers(1, 64).map(str),
        "--threshold": st.sampled_from(("fdr", "uncorrected:0.01", "bonferroni:0.1")),
        "--qc-fail": st.sampled_from(("fd_mean>0.5", "tsnr_median<20")),
        "--work-dir": TEXTS.filter(lambda text: text.strip("/. \0")).map(
            lambda text: "work/" + re.sub(r"[\0/~\ud800]", "", text) + "x"
        ),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(values)), unique=True, max_size=6))
    return [f"{name}={draw(values[name])}" for name in chosen]


@fuzz(100, soak=6_000, words=calls())
def test_a_sound_command_line_is_never_refused_and_its_config_file_repeats_it(words, tmp_path):
    start = [str(tmp_path / "data"), str(tmp_path / "out"), "participant"]
    _check_written(parse([*start, *words]), tmp_path, start)


@fuzz(
    120,
    soak=5_000,
    content=changed_bytes(_CONFIG.encode())
    | TEXTS.map(lambda text: text.encode(errors="surrogatepass")),
)
@example(content=b"a = " + b"[" * 100_000)
@example(content=b"a" + b".a" * 2_000 + b" = 1")
@example(content=b"high-pass = " + b"9" * 5_000)
@example(content=b"high-pass = 0x" + b"f" * 5_000)
@example(content=b'contrast = "\\ud800"')
@example(content=b"task-id = [1979-05-27, nan, inf]")
def test_a_config_file_is_read_or_refused(content, tmp_path):
    (tmp_path / "config.toml").write_bytes(content)
    with only_our_errors():
        parse(
            [
                str(tmp_path / "a"),
                str(tmp_path / "b"),
                "participant",
                "--config-file",
                str(tmp_path / "config.toml"),
            ]
        )


_FILTERS = {"bold": {"task": ["main", "rest"], "run": 1, "session": None, "space": "*"}, "t1w": {}}


@fuzz(120, soak=5_000, raw=changed_json(_FILTERS, ("datatype", "suffix", "extension", "subject")))
def test_a_filter_file_is_read_or_refused(raw, tmp_path):
    (tmp_path / "filters.json").write_text(json_text(raw))
    with only_our_errors():
        parse(
            [
                str(tmp_path / "a"),
                str(tmp_path / "b"),
                "participant",
                "--bids-filter-file",
                str(tmp_path / "filters.json"),
            ]
        )


@fuzz(120, soak=5_000, content=changed_bytes(_PLUGIN.encode()))
@example(content=b"[" * 5_000)
@example(content=b"- " * 5_000)
@example(content=b"plugin: *a")
@example(content=b"plugin: 1:2:3:4" + b":5" * 500)
@example(content=b"? [1, 2]\n: 3\nplugin: MultiProc")
@example(content=b"plugin: MultiProc\nplugin_args: {1: 2, null: 3, n_procs: 2020-01-99}")
@example(content=b"plugin: SLURM\nplugin_args: {template: '\\0'}")
@example(
    content=b"a: &a [1,1,1,1,1,1,1,1,1]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (i + 1, i + 1, b",".join([b"*%c" % i] * 9)) for i in range(97, 106)
    )
    + b"plugin: *j\nplugin_args: *j"
)
def test_a_plugin_file_is_read_or_refused(content, tmp_path):
    (tmp_path / "plugin.yml").write_bytes(content)
    with only_our_errors():
        read_plugin(tmp_path / "plugin.yml")
