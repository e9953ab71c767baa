"""What is in the image, and what it does without any data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.containers import Image

pytestmark = pytest.mark.image

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Bytes; README says the same.
LARGEST = 900e6


@pytest.mark.parametrize("option", ["--version", "--help", "--bids-exec-spec"])
def test_what_needs_no_data_needs_no_mounts(image: Image, option: str) -> None:
    done = image.run(option)
    command = [sys.executable, "-m", "bids_fx", option]
    outside = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.returncode, done.stderr) == (0, "")
    inside = done.stdout.replace(PROJECT["version"], "VERSION")
    assert inside == re.sub(
        re.escape(PROJECT["version"]) + r"|0\+unknown", "VERSION", outside.stdout
    )


def test_labels_say_what_the_image_is(image: Image) -> None:
    labels = image.config()["Labels"]
    assert isinstance(labels, dict)
    told = {
        key.removeprefix("org.opencontainers.image."): value
        for key, value in labels.items()
        if key.startswith("org.opencontainers.image.")
    }
    revision = told.pop("revision")
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", revision)
    expected = {
        "title": PROJECT["name"],
        "description": PROJECT["description"],
        "version": PROJECT["version"],
        "licenses": PROJECT["license"],
        "ref.name": image.name,
    }
    assert {key: told[key] for key in expected} == expected


def test_the_image_is_small_enough(image: Image) -> None:
    size = image.config()["Size"]
    assert isinstance(size, int)
    assert 100e6 < size < LARGEST


def test_every_module_of_the_package_is_there_with_what_it_imports(image: Image) -> None:
    code = (
        "import importlib, pkgutil, bids_fx\n"
        "for found in pkgutil.walk_packages(bids_fx.__path__, 'bids_fx.'):\n"
        "    print(importlib.import_module(found.name).__name__)\n"
    )
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "bids_fx").rglob("*.py")
    }
    told = image.python(code, "--env", "MPLCONFIGDIR=/tmp/matplotlib")
    assert set(told.split()) | {"bids_fx"} == modules


def test_the_pinned_dependencies_and_nothing_else_are_installed(image: Image) -> None:
    code = (
        "import importlib.metadata as m, json\n"
        "print(json.dumps({d.name: d.version for d in m.distributions(path=["
        "__import__('sysconfig').get_path('purelib')])}))"
    )
    installed = {
        re.sub(r"[-_.]+", "-", name).lower(): version
        for name, version in json.loads(image.python(code)).items()
    }
    pinned = dict(
        re.findall(r"^([\w.-]+)==(\S+) \\$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    )
    assert installed == {**pinned, "bids-fx": PROJECT["version"]}


def test_packages_come_without_their_tests_and_with_what_makes_them_start_fast(
    image: Image,
) -> None:
    code = (
        "import sysconfig; from pathlib import Path\n"
        "root = Path(sysconfig.get_path('purelib'))\n"
        "print(sum(1 for _ in root.rglob('tests')), any((root / 'nipype').rglob('*.pyc')))"
    )
    assert image.python(code) == "0 True\n"


def test_the_viewer_is_that_of_the_source_or_the_known_one_or_none(image: Image) -> None:
    code = (
        "import hashlib\n"
        "from importlib.resources import files\n"
        "folder = files('bids_fx') / 'data' / 'viewer'\n"
        "found = list(folder.iterdir()) if folder.is_dir() else []\n"
        "print(*(f'{one.name} {hashlib.sha256(one.read_bytes()).hexdigest()}' for one in found))"
    )
    (known,) = re.findall(r'\bsha256="(\w+)"', (ROOT / "hatch_build.py").read_text())
    library = ROOT / "bids_fx" / "data" / "viewer" / "niivue.umd.js"
    # Where the source had none, the image's own npm may have fetched it.
    allowed = {f"niivue.umd.js {known}", *([] if library.is_file() else [""])}
    assert image.python(code).strip() in allowed


def test_a_container_sees_its_memory_limit(image: Image) -> None:
    code = "from bids_fx.cli.resources import available_memory_gb as gb; print(gb())"
    assert float(image.python(code, "--memory", "512m")) == pytest.approx(2**29 / 1e9, abs=1e-9)
