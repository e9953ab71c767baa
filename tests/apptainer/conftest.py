"""The image as `make test-apptainer` found a way to run it, and data that it is run on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.apptainer.runs import VARIABLES, Runtime, outside, users_folder
from tests.synthetic import DatasetSpec, make_dataset


def pytest_report_header() -> str:
    return f"image run by: {os.environ.get('RUNTIME', 'nothing, call make test-apptainer')}"


def pytest_collection_modifyitems(config, items: list[pytest.Item]) -> None:
    """Leave out what a stand-in has no part of."""
    if os.environ.get("KIND") == "charliecloud":
        own = [item for item in items if "apptainer_alone" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=own)
        items[:] = [item for item in items if item not in own]


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    if "RUNTIME" not in os.environ:
        pytest.fail("these tests are run by `make test-apptainer`")
    kept = {name: os.environ[name] for name in ("PATH", *VARIABLES)}
    return Runtime(kept["APPTAINER"], Path(kept["FOLDER"]) / "bids_fx.sif", kept)


@pytest.fixture
def apptainer_alone(runtime) -> Runtime:
    """The same, where it is Apptainer itself."""
    return runtime


@pytest.fixture
def folder(runtime) -> Path:
    return users_folder("test")


@pytest.fixture(scope="session")
def templates(runtime) -> Path:
    """An archive of templates that holds none: what an image holds depends on its build."""
    return users_folder("templates")


@pytest.fixture(scope="session")
def small(runtime) -> Path:
    """A dataset of one participant with two small runs, in a folder whose name is not ASCII."""
    data = users_folder("small") / "Größe 1"
    make_dataset(data, DatasetSpec(n_volumes=50))
    return data


@pytest.fixture(scope="session")
def real(runtime, oneback) -> Path:
    """The real data, where any user can read it."""
    return Path(shutil.copytree(oneback, users_folder("real") / "oneback"))


@pytest.fixture(scope="session")
def small_outside(small, templates) -> dict[str, bytes]:
    return outside(small, templates)


@pytest.fixture(scope="session")
def real_outside(real, templates) -> dict[str, bytes]:
    return outside(real, templates)
