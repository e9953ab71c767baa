"""Real data through the container: what comes out, and that nothing is written elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bids_fx.settings import WORK_AREA
from tests.containers import Image

pytestmark = pytest.mark.image

#: MB: what the program is given at first, too little for these runs; it says how much it needs.
TOO_LITTLE_MB = 256
#: What the kernel counts to a container on top: pages of files, pipes, tables.
ALLOWANCE = 1.1
#: What this machine tells BLAS about its processor must be told inside too: bits depend on it.
KERNELS = tuple(f"--env={name}" for name in sorted(os.environ) if name.startswith("OPENBLAS_"))


@dataclass(frozen=True)
class Compared:
    """The output folders of one call inside and outside the image, and what it printed inside."""

    inside: Path
    outside: Path
    done: subprocess.CompletedProcess[str]


def arguments(data: object, out: object, mem_mb: int) -> list[str]:
    return [
        *(str(data), str(out), "participant", "-d", f"{data}/derivatives/preproc"),
        *("--contrast", "face - house", "--contrast", "all = (body + face + house)/3"),
        *("--mem-mb", str(mem_mb)),
    ]


@pytest.fixture(scope="module")
def compared(image: Image, oneback: Path, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("compared")
    inside, outside = folder / "inside", folder / "outside"
    program = [sys.executable, "-m", "bids_fx"]
    little = [*program, *arguments(oneback, outside, TOO_LITTLE_MB)]
    refused = subprocess.run(little, check=False, capture_output=True, text=True)
    needed_mb = max(int(found) for found in re.findall(r"allow (\d+) MB", refused.stderr))
    limit = round(needed_mb * 1e6 * ALLOWANCE)
    done = image.run(
        *arguments("/data", "/out", needed_mb),
        data=oneback,
        out=inside,
        flags=("--memory", limit, "--memory-swap", limit, *KERNELS),
    )
    subprocess.run(
        [*program, *arguments(oneback, outside, needed_mb)], check=True, capture_output=True
    )
    return Compared(inside=inside, outside=outside, done=done)


def contents(out: Path, pattern: str) -> dict[str, bytes]:
    """Return the files of an output folder, without logs and the work area, by name."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob(pattern))
        if path.is_file() and path.relative_to(out).parts[0] not in {"logs", WORK_AREA}
    }


def test_the_careful_call_succeeds_near_the_memory_that_is_needed(compared: Compared) -> None:
    assert compared.done.returncode == 0, compared.done.stderr
    assert compared.done.stdout.split() == ["/out/sub-02.html"]


def test_maps_are_those_of_a_run_outside_bit_for_bit(compared: Compared) -> None:
    maps = contents(compared.outside, "*.nii.gz")
    assert len(maps) > 20
    assert contents(compared.inside, "*.nii.gz") == maps


@pytest.mark.parametrize("pattern", ["sub-02*.json", "*.tsv"])
def test_sidecars_and_tables_are_those_of_a_run_outside(compared: Compared, pattern: str) -> None:
    files = contents(compared.outside, pattern)
    assert files
    assert contents(compared.inside, pattern) == files


def test_the_output_folders_hold_the_same_files(compared: Compared) -> None:
    assert list(contents(compared.inside, "*")) == list(contents(compared.outside, "*"))


def test_outputs_belong_to_the_caller(image: Image, compared: Compared) -> None:
    code = "from pathlib import Path; print({p.stat().st_uid for p in Path('/out').rglob('*')})"
    assert image.python(code, "-v", f"{compared.inside}:/out:ro") == "{12345}\n"


def test_the_viewer_is_in_the_report_as_it_is_outside(compared: Compared) -> None:
    told = [(out / "sub-02.html").read_text() for out in (compared.inside, compared.outside)]
    assert "niivue" in told[0]
    assert told[0].count("niivue") == told[1].count("niivue")


def test_the_output_names_the_image(image: Image, compared: Compared) -> None:
    (generated, *_) = json.loads((compared.inside / "dataset_description.json").read_text())[
        "GeneratedBy"
    ]
    assert generated["Container"] == {"Type": "docker", "Tag": image.name}


def test_the_level_group_runs_in_the_container(
    image: Image, oneback: Path, compared: Compared
) -> None:
    done = image.run("/data", "/out", "group", data=oneback, out=compared.inside)
    assert done.returncode == 0, done.stderr
    assert (compared.inside / "index.html").is_file()


def test_nothing_is_written_but_to_the_output_folder_and_tmp(
    image: Image, oneback: Path, tmp_path: Path
) -> None:
    # With a root that can be written to, by root: whatever is written elsewhere shows.
    flags = ("--network", "none", "-v", f"{oneback}:/data:ro", "-v", f"{tmp_path}:/out")
    call = arguments("/data", "/out", 1000)
    container = image.call("create", *flags, "--tmpfs", "/tmp", image.name, *call).stdout.strip()
    try:
        done = image.call("start", "--attach", container)
        assert done.returncode == 0, done.stderr
        changes = image.call("diff", container).stdout.split("\n")
    finally:
        image.call("rm", "--force", container)
    # Engines add the mount points, and what tells of the network and of the engine.
    theirs = ("/data", "/out", "/tmp", "/etc", "/run", "/dev", "/proc", "/sys")
    written = [line for line in changes if line and not line[2:].startswith(theirs)]
    assert written == []
