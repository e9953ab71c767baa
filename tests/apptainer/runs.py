"""Runs of the program in the image, and without it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_fx.settings import WORK_AREA

#: Written by `with_runtime.sh`.
VARIABLES = ("FOLDER", "KIND", "PROGRAM", "APPTAINER", "APPTAINER_CACHEDIR")
#: Root runs the image as this user, see `apptainer.sh`.
NOBODY = 65534


@dataclass(frozen=True)
class Runtime:
    """Runs the image as a user of a cluster does, with nothing of this process's environment."""

    program: str
    image: Path
    environment: Mapping[str, str]

    def command(self, *words: object, verb: str = "run", flags: Sequence[object] = ()) -> list:
        return [self.program, verb, *map(str, flags), str(self.image), *map(str, words)]

    def __call__(
        self,
        *words: object,
        verb: str = "run",
        flags: Sequence[object] = (),
        env: Mapping[str, str] | None = None,
        **options,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words, verb=verb, flags=flags),
            env={**self.environment, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )


def users_folder(prefix: str) -> Path:
    """Return a new folder that belongs to the user that runs the image."""
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=os.environ["FOLDER"]))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, -1)
    return folder


def given_to_user(folder: Path) -> Path:
    """Let the user that runs the image own a folder and all that is in it."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, -1)
    return folder


def call(data: Path, out: Path) -> list[object]:
    """Return the arguments of the program that all runs have."""
    if data.name == "oneback":
        more = ["-d", data / "derivatives" / "preproc", "--contrast", "face - scramble"]
    else:
        more = []
    options = ["--skip-bids-validation", "--nprocs", "2", "--contrast", "face - house"]
    return [data, out, "participant", *options, *more]


def outputs(out: Path) -> dict[str, bytes]:
    """Return what is the same wherever a run is: not the logs, nor what names the versions."""
    return {
        name: path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
        and (name := path.relative_to(out).as_posix()).split("/")[0] not in {"logs", WORK_AREA}
        and path.name not in {"summary.json", "dataset_description.json", "calls.json"}
        and path.suffix != ".html"
    }


def outside(data: Path, templates: Path) -> dict[str, bytes]:
    """Return what the program writes without a container, with no more of the environment."""
    out = users_folder("outside")
    environment = {name: os.environ[name] for name in ("HOME", "PATH", "PYTHONPATH")}
    subprocess.run(
        [sys.executable, "-m", "bids_fx", *map(str, call(data, out))],
        env={**environment, "TEMPLATEFLOW_HOME": str(templates)},
        check=True,
        capture_output=True,
    )
    return outputs(out)


def differing(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> list[str]:
    """Return the names of what is not the same in both."""
    names = sorted({*found, *expected})
    return [name for name in names if found.get(name) != expected.get(name)]
