"""The image under Apptainer, as a user of a cluster runs it, does what it does outside."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from tests.apptainer.runs import Runtime, call, differing, given_to_user, outputs

pytestmark = pytest.mark.apptainer

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
#: Seconds in which a run that was told to end must have ended.
DEADLINE = 60
MODES = {
    "as it comes": [],
    "clean environment": ["--cleanenv"],
    "contained": ["--containall"],
    "no home": ["--cleanenv", "--no-home"],
}
#: What shells on clusters export; most of it names what is not in the image. FOLDER is there.
HOST_VARIABLES = {
    "python's folders": {"PYTHONPATH": "FOLDER/poison", "PYTHONHOME": "/opt/python"},
    "notebook's backend": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "matplotlib's settings": {"MATPLOTLIBRC": "FOLDER/poison"},
    "matplotlib's folder": {"MPLCONFIGDIR": "/scratch/me/matplotlib"},
    "language": {"LANG": "de_DE.ISO-8859-1", "LC_ALL": "de_DE.ISO-8859-1", "LANGUAGE": "de"},
    "scratch": dict.fromkeys(("TMPDIR", "TMP", "TEMP"), "/scratch/local/job.17"),
    "long scratch": {"TMPDIR": f"FOLDER/{'x' * 90}"},
    "threads": {"OMP_NUM_THREADS": "16", "OPENBLAS_NUM_THREADS": "16", "MKL_NUM_THREADS": "16"},
    "scheduler": {
        "SLURM_JOB_ID": "17",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_CPUS_PER_TASK": "64",
        "SLURM_MEM_PER_NODE": "1",
        "SLURM_TMPDIR": "/scratch/local/job.17",
    },
}


def binds(data: Path, out: Path, templates: Path) -> list[object]:
    """Return the options that give a run its data, its output folder and its templates."""
    return [
        *("--bind", f"{data}:{data}:ro", "--bind", out),
        *("--bind", f"{templates}:{templates}:ro", "--env", f"TEMPLATEFLOW_HOME={templates}"),
    ]


def poison(folder: Path) -> None:
    """Write modules and settings into a folder that break or change whatever reads them."""
    packages = [folder / ".local/lib" / f"python3.{minor}/site-packages" for minor in range(9, 15)]
    for place in (folder, *packages):
        (place / "numpy").mkdir(parents=True)
        (place / "numpy" / "__init__.py").write_text("raise ImportError('poisoned')")
    settings = [folder / "matplotlibrc", folder / ".config/matplotlib/matplotlibrc"]
    for file in settings:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("figure.facecolor: red\nsavefig.facecolor: red\nfont.size: 40\n")


def listing(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("mode", MODES)
def test_outputs_are_those_of_a_run_outside(
    runtime, small, templates, folder, small_outside, mode
):
    flags = [*MODES[mode], *binds(small, folder, templates)]
    done = runtime(*call(small, folder), flags=flags)
    assert done.returncode == 0, done.stderr
    assert differing(outputs(folder), small_outside) == []


def test_maps_of_real_data_are_those_of_a_run_outside(
    runtime, real, templates, folder, real_outside
):
    flags = ["--containall", "--no-home", *binds(real, folder, templates)]
    done = runtime(*call(real, folder), flags=flags)
    assert done.returncode == 0, done.stderr
    found = outputs(folder)
    assert sum(name.endswith("_stat-z_statmap.nii.gz") for name in found) == 6
    description = json.loads((folder / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Container"]["Type"] == "singularity"
    assert differing(found, real_outside) == []


@pytest.mark.parametrize("name", HOST_VARIABLES)
def test_variables_of_the_host_change_nothing(
    runtime, small, templates, folder, small_outside, name
):
    out, scratch = folder / "out", folder / ("x" * 90)
    poison(folder / "poison")
    scratch.mkdir()
    given_to_user(folder)
    env = {key: text.replace("FOLDER", str(folder)) for key, text in HOST_VARIABLES[name].items()}
    done = runtime(*call(small, out), flags=binds(small, folder, templates), env=env)
    assert done.returncode == 0, done.stderr
    assert differing(outputs(out), small_outside) == []


def test_what_lies_in_home_is_neither_used_nor_touched(
    runtime, small, templates, folder, small_outside
):
    home, out = folder / "home", folder / "out"
    poison(home)
    out.mkdir()
    given_to_user(folder)
    before = listing(home)
    done = runtime(
        *call(small, out), flags=["--home", home, *binds(small, out, templates)], cwd=home
    )
    assert done.returncode == 0, done.stderr
    assert differing(outputs(out), small_outside) == []
    assert listing(home) == before


def test_a_bound_archive_of_templates_is_used(runtime, small, folder, small_outside, tmp_path):
    name = "tpl-MNI152NLin2009cAsym"
    (folder / name).mkdir()
    brain = nb.Nifti1Image(np.full((60, 70, 60), 100, np.uint8), np.diag([4, 4, 4, 1]))
    brain.to_filename(folder / name / f"{name}_res-02_T1w.nii.gz")
    out = given_to_user(folder) / "out"
    out.mkdir()
    given_to_user(out)
    before = listing(folder / name)
    done = runtime(*call(small, out), flags=binds(small, out, folder))
    assert done.returncode == 0, done.stderr
    found = outputs(out)
    assert set(found) == set(small_outside)
    changed = differing(found, small_outside)
    assert any("_stat-z" in name for name in changed)
    assert {Path(name).parts[1] for name in changed} == {"figures"}
    assert listing(folder / name) == before


def test_relative_paths_are_those_of_the_folder_it_is_called_in(
    runtime, small, templates, folder, small_outside
):
    flags = ["--env", f"TEMPLATEFLOW_HOME={templates}", "--bind", small.parent]
    data = os.path.relpath(small, folder)
    _, _, *more = call(small, folder)
    done = runtime(data, "out", *more, flags=flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert differing(outputs(folder / "out"), small_outside) == []


def test_it_may_be_called_in_a_folder_that_the_image_has_not(
    runtime, small, templates, folder, small_outside
):
    flags = ["--containall", *binds(small, folder, templates)]
    done = runtime(*call(small, folder), flags=flags, cwd="/boot")
    assert done.returncode == 0, done.stderr
    assert differing(outputs(folder), small_outside) == []


def test_outputs_are_private_where_the_caller_wants_it(runtime, small, templates, folder):
    done = runtime(*call(small, folder), flags=binds(small, folder, templates), umask=0o077)
    assert done.returncode == 0, done.stderr
    written = list(folder.rglob("*"))
    assert written
    assert [
        path for path in written if path.lstat().st_mode & 0o077 and not path.is_symlink()
    ] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_can_be_called(runtime, program):
    done = runtime(program, "--help", verb="exec", flags=["--cleanenv"])
    assert done.returncode == 0, done.stderr
    assert f"usage: {program.replace('bids-fx', 'bids_fx')}" in done.stdout.lower()


def test_arguments_arrive_as_they_were_given(runtime, folder):
    odd = 'it\'s "this" $HOME `id` \\n * {a,b} ~ #; é'
    done = runtime(folder / "data", folder / "out", "participant", odd)
    assert done.returncode == 2
    assert odd in done.stderr


def test_a_contrast_with_quoted_names_is_understood(runtime, small, folder):
    words = ["--contrast", "a b = 'face' - `house`", "--dry-run=json"]
    done = runtime(*call(small, folder)[:3], *words, flags=["--bind", small.parent])
    assert done.returncode == 0, done.stderr
    assert "'face' - `house`" in done.stdout


@pytest.mark.parametrize(
    ("level", "more", "code"),
    [
        ("participant", ["--no-such-option"], 2),
        ("dataset", [], 17),
        ("participant", ["--participant-label", "99"], 18),
        ("participant", ["-d", "/no/such/folder"], 66),
    ],
)
def test_exit_codes_come_through(runtime, small, folder, level, more, code):
    done = runtime(small, folder / "out", level, *more, flags=["--bind", small.parent])
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("mode", ["clean environment", "contained"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"]
)
@pytest.mark.parametrize("to_all", [False, True], ids=["to one", "to all"])
def test_a_signal_ends_it_at_once(runtime, real, templates, folder, mode, number, code, to_all):
    command = runtime.command(
        *call(real, folder), flags=[*MODES[mode], *binds(real, folder, templates)]
    )
    # A session of its own has a process group of its own, as a job step or a terminal's job has.
    with subprocess.Popen(
        command, env=runtime.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        started = next(line for line in process.stderr if "sub-02" in line)
        (os.killpg if to_all else os.kill)(process.pid, number)
        _, rest = process.communicate(timeout=DEADLINE)
    # Where all get the signal, the program gets it again from Apptainer, and may then end by it.
    assert process.returncode in (code, -number), started + rest
    assert "Ended by a signal" in rest
    until = time.monotonic() + DEADLINE
    while is_running(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_running(process.pid)


def is_running(group: int) -> bool:
    """Say whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_images_own_test_succeeds(runtime):
    done = runtime(verb="test")
    assert done.returncode == 0, done.stderr
    assert "bids_fx" in done.stdout


def test_help_and_labels_name_the_program(apptainer_alone: Runtime):
    shown = apptainer_alone(verb="run-help").stdout
    labels = apptainer_alone(verb="inspect").stdout
    assert "BIDS_DIR OUTPUT_DIR participant" in shown
    assert "org.label-schema.name: bids_fx" in labels
    assert "org.opencontainers.image.version" in labels


def readme_example(**folders: Path) -> str:
    """Return the README's script that runs one participant, with other folders."""
    _, section = README.read_text().split("## Apptainer (Singularity)", 1)
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    first, _, script = next(block for block in blocks if "STUDY=" in block).partition("\n")
    assert {word.partition("=")[0] for word in first.split()} == set(folders)
    return "".join(f"{name}={shlex.quote(str(at))}\n" for name, at in folders.items()) + script


def test_the_readmes_example_runs(runtime, small, templates, folder, small_outside):
    results, scratch, programs = (folder / name for name in ("results", "scratch", "programs"))
    for made in (results, scratch, programs):
        made.mkdir()
    (programs / "apptainer").symlink_to(runtime.program)
    given_to_user(folder)
    script = readme_example(STUDY=small, RESULTS=results, SCRATCH=scratch, TEMPLATES=templates)
    path = f"{programs}:{runtime.environment['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=runtime.image.parent,
        env={**runtime.environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert differing(outputs(results), small_outside) == []
    assert list(scratch.iterdir()) == [scratch / "bids_fx"]
