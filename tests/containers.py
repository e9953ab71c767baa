"""The container image as its users run it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

#: As careful as a site can be: nothing but /out and /tmp can be written to, by a user whom the
#: image does not know, without a network.
HARDENED = (
    *("--network", "none", "--read-only", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--user", "12345:12345", "--tmpfs", "/tmp"),
)
#: Seconds after which a container that hangs is given up.
DEADLINE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image, and the engine that has it.

    Parameters
    ----------
    engine, name : str
        Program and image.
    home : str
        In which the engine keeps what it knows; that of the tests is another one.
    """

    engine: str
    name: str
    home: str

    def call(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Call the engine, in a folder of its own: podman leaves a file where memory ran out."""
        with TemporaryDirectory() as folder:
            return subprocess.run(
                [self.engine, *map(str, words)],
                cwd=folder,
                env={**os.environ, "HOME": self.home},
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )

    def run(
        self,
        *arguments: object,
        data: Path | None = None,
        out: Path | None = None,
        flags: Sequence[object] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run the program on a folder of data (/data) and one of output (/out)."""
        return self.call("run", "--rm", *self.words(arguments, data, out, flags))

    def words(
        self,
        arguments: Sequence[object],
        data: Path | None,
        out: Path | None,
        flags: Sequence[object],
    ) -> list[object]:
        """Return what comes after ``run``."""
        mounts: list[object] = []
        if data is not None:
            mounts += ["-v", f"{data}:/data:ro"]
        if out is not None:
            out.mkdir(exist_ok=True)
            out.chmod(0o777)
            mounts += ["-v", f"{out}:/out"]
        return [*HARDENED, *mounts, *flags, self.name, *arguments]

    def python(self, code: str, *flags: object) -> str:
        """Return what some code prints in a container of its own."""
        done = self.run("-c", code, flags=("--entrypoint", "python", *flags))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def config(self) -> Mapping[str, object]:
        """Return the image's configuration: labels, environment, entry point."""
        (described,) = json.loads(self.call("image", "inspect", self.name).stdout)
        return {**described["Config"], "Size": described["Size"]}
