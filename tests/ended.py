"""Calls that ended well: each is made once in a process, and every test gets it as it was left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from bids_fx.cli.run import main
from tests.synthetic import DatasetSpec, Truth, make_dataset


class EndedCall(Protocol):
    """Return a dataset, and the output folder of a call that ended well."""

    def __call__(self, spec: DatasetSpec, *options: str) -> tuple[Truth, Path]: ...


def ended_calls(root: Path) -> EndedCall:
    """Return what makes calls and restores them, each in a folder of its own.

    Parameters
    ----------
    root : Path
        A new folder. What stands there of a call is written over by the next test that asks for
        the same one: outputs name their inputs by absolute paths, so that it must be in its place.
    """
    kept: dict[str, tuple[Truth, Path]] = {}

    def ended(spec: DatasetSpec, *options: str) -> tuple[Truth, Path]:
        key = repr((spec, options))
        if key not in kept:
            made = root / str(len(kept)) / "now"
            truth = make_dataset(made / "data", spec)
            assert main([str(truth.bids_dir), str(made / "out"), "participant", *options]) == 0
            shutil.copytree(made, made.with_name("ended"), symlinks=True)
            kept[key] = truth, made
        truth, made = kept[key]
        shutil.rmtree(made)
        # With the files' times: a call looks at them before it reads a file again.
        shutil.copytree(made.with_name("ended"), made, symlinks=True)
        return truth, made / "out"

    return ended
