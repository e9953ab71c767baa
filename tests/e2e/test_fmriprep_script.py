"""README's script: fMRIPrep, then this program, participant by participant, by a container engine.

The engine on PATH is a stand-in that runs this program for real, without a container, on the
folders that are mounted; what stands in for fMRIPrep copies derivatives that were made before.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
#: Seconds; far more than short runs need on a busy machine.
PATIENCE = 240

ENGINE = f"""#!{sys.executable}
import json, os, shutil, subprocess, sys
from pathlib import Path

command, *words = sys.argv[1:]
assert command == "run", command
mounts = {{}}
while words[0].startswith("-"):
    option = words.pop(0)
    assert option in ("--rm", "--user", "-v", "--cleanenv", "--bind"), option
    if option in ("--user", "-v", "--bind"):
        value = words.pop(0)
        mounts |= {{m.split(":")[1]: m.split(":")[0] for m in value.split(",") if "/" in m}}
image, data, out, level, *rest = words
outside = [mounts[data], mounts["/out"] + out.removeprefix("/out"), level]
outside += [mounts["/out"] + w.removeprefix("/out") if w.startswith("/out") else w for w in rest]
label = rest[rest.index("--participant-label") + 1] if level == "participant" else "group"
with open(os.environ["ENGINE_LOG"], "a") as log:
    print(Path(sys.argv[0]).name, image, label, file=log)
code = json.loads(os.environ.get("ENGINE_CODES", "{{}}")).get(image + " " + label, 0)
if code:
    sys.exit(code)
if image == "fmriprep":
    assert Path(mounts[rest[rest.index("--fs-license-file") + 1]]).is_file()
    made = Path(os.environ["ENGINE_MADE"])
    shutil.copytree(made / f"sub-{{label}}", Path(outside[1]) / f"sub-{{label}}")
    shutil.copy(made / "dataset_description.json", outside[1])
    sys.exit(0)
sys.exit(subprocess.run([sys.executable, "-m", "bids_fx", *outside]).returncode)
"""


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Return two participants of one short run; the first one's events are bad."""
    spec = DatasetSpec(shape=(4, 4, 4), n_volumes=50, runs=("1",), participants=("01", "02"))
    made = make_dataset(tmp_path_factory.mktemp("data") / "bids", spec)
    for table in made.bids_dir.glob("sub-01/func/*_events.tsv"):
        table.write_text("onset\tduration\ttrial_type\nx\t1\tface\n")
    return made


@pytest.fixture
def script(tmp_path: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the script, with stand-ins for the engines on PATH."""
    (text,) = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", README, re.DOTALL)
    path = tmp_path / "first-levels.sh"
    path.write_text(text)
    path.chmod(0o755)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("docker", "apptainer"):
        (folder / name).write_text(ENGINE)
        (folder / name).chmod(0o755)
    (tmp_path / "license.txt").touch()
    settings = {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "FMRIPREP_IMAGE": "fmriprep",
        "BIDS_FX_IMAGE": "bids_fx",
        "FS_LICENSE": str(tmp_path / "license.txt"),
        "ENGINE_LOG": str(tmp_path / "engine.log"),
        "ENGINE_MADE": str(truth.derivatives_dir),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return path


def run(script: Path, truth: Truth, *labels: str) -> tuple[int, list[str]]:
    """Run the script; return its code, and what it called the engine for."""
    done = subprocess.run(
        [str(script), str(truth.bids_dir), str(script.parent / "out"), *labels],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    log = script.parent / "engine.log"
    return done.returncode, log.read_text().splitlines() if log.exists() else []


def test_bad_data_cost_one_participant_and_all_others_are_gathered(script, truth):
    code, calls = run(script, truth, "01", "02")
    assert code == 1
    assert calls == [
        f"docker {call}"
        for call in ("fmriprep 01", "bids_fx 01", "fmriprep 02", "bids_fx 02", "bids_fx group")
    ]
    out = script.parent / "out" / "bids_fx"
    told = json.loads((out / "summary.json").read_text())["participants"]
    assert {name: one["state"] for name, one in told.items()} == {
        "sub-01": "not started",  # what is refused before any work leaves nothing
        "sub-02": "done",
    }
    assert (out / "index.html").is_file()


def test_all_is_well_by_apptainer_too(script, truth, monkeypatch):
    monkeypatch.setenv("ENGINE", "apptainer")
    code, calls = run(script, truth, "02")
    assert code == 0
    assert calls == [f"apptainer {c}" for c in ("fmriprep 02", "bids_fx 02", "bids_fx group")]


@pytest.mark.parametrize("code", [1, 18, 65, 66, 137])
@pytest.mark.parametrize("step", ["fmriprep", "bids_fx"])
def test_what_costs_one_participant_lets_the_others_go_on(script, truth, monkeypatch, step, code):
    codes = {f"{step} 01": code, "bids_fx 02": 66, "bids_fx group": 0}
    monkeypatch.setenv("ENGINE_CODES", json.dumps(codes | {"bids_fx group": 1}))
    found, calls = run(script, truth, "01", "02")
    assert found == 1
    assert calls[-2:] == ["docker bids_fx 02", "docker bids_fx group"]
    assert ("docker bids_fx 01" in calls) == (step == "bids_fx")


@pytest.mark.parametrize("code", [2, 16, 73, 74, 125, 130, 143])
@pytest.mark.parametrize("step", ["fmriprep", "bids_fx"])
def test_what_would_stop_all_others_stops_the_script(script, truth, monkeypatch, step, code):
    monkeypatch.setenv("ENGINE_CODES", json.dumps({f"{step} 01": code}))
    found, calls = run(script, truth, "01", "02")
    assert found == code
    assert calls[-1] == f"docker {step} 01"


@pytest.mark.parametrize("words", [[], ["/bids"], ["/bids", "/out"]])
def test_too_few_arguments_get_the_usage_line(script, words):
    done = subprocess.run([str(script), *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"usage: {script} BIDS_DIR OUT LABEL ...\n")


@pytest.mark.parametrize("wrong", ["BIDS_DIR", "OUT", "FS_LICENSE"])
def test_relative_path_is_refused_in_one_line_before_anything_is_made(
    script, tmp_path, monkeypatch, wrong
):
    paths = {name: str(tmp_path / name) for name in ("BIDS_DIR", "OUT", "FS_LICENSE")}
    paths[wrong] = wrong
    monkeypatch.setenv("FS_LICENSE", paths["FS_LICENSE"])
    before = sorted(tmp_path.iterdir())
    done = subprocess.run(
        [str(script), paths["BIDS_DIR"], paths["OUT"], "01"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    told = f"{wrong}: give the whole path, from / on\n"
    assert (done.returncode, done.stderr) == (2, told)
    assert sorted(tmp_path.iterdir()) == before


def test_shellcheck_finds_nothing(script):
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([program, str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
