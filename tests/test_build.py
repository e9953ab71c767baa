"""What users build and install: Makefile, CI, pinned requirements, wheel and image."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.browser import NAMES

ROOT = Path(__file__).parent.parent
PINNED = (
    "requirements.txt",
    "requirements/build.txt",
    "requirements/dev.txt",
    "requirements/npm.txt",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def called_targets(commands: str) -> set[str]:
    return set(re.findall(r"^\s*make ([a-z0-9]+)", commands, re.MULTILINE))


def circleci_commands(node: object) -> Iterator[str]:
    """Iterate over the commands of every ``run`` step."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "run":
                yield value if isinstance(value, str) else value["command"]
            else:
                yield from circleci_commands(value)
    elif isinstance(node, list):
        for item in node:
            yield from circleci_commands(item)


def pins(name: str) -> dict[str, str]:
    """Return the versions that a requirements file pins, by normalised name."""
    lines = re.findall(r"^([\w.-]+)==(\S+) \\$", (ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in lines}


def run_make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make as if no environment had been made, and as if no other make had called it."""
    inherited = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
    make = shutil.which("make")
    assert make is not None
    return subprocess.run(
        [make, "VENV=absent", *arguments],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key not in inherited}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def dry_make(target: str) -> str:
    """Return the commands of a target."""
    done = run_make("--dry-run", target)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_image(folder: Path, answering: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Make the image where both engines are installed, and some of them answer and tell calls."""
    for name in ("docker", "podman"):
        program = folder / name
        answer = f'echo "{name} $*"' if name in answering else "exit 1"
        program.write_text(f"#!/bin/sh\n{answer}\n")
        program.chmod(0o755)
    return run_make("image", "--old-file=viewer", PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(scope="module")
def circleci() -> dict[str, object]:
    config = yaml.safe_load((ROOT / ".circleci" / "config.yml").read_text())
    assert isinstance(config, dict)
    return config


def test_circleci_calls_only_targets_of_the_makefile(circleci: dict[str, object]) -> None:
    called = called_targets("\n".join(circleci_commands(circleci)))
    assert called == {"style", "types", "spelling", "pytest", "demo", "image"}
    assert called <= make_targets()


def test_circleci_workflow_names_only_its_jobs(circleci: dict[str, object]) -> None:
    jobs = circleci["jobs"]
    assert isinstance(jobs, dict)
    workflows = circleci["workflows"]
    assert isinstance(workflows, dict)
    steps = workflows["all"]["jobs"]
    named = {name for step in steps for name in ([step] if isinstance(step, str) else step)}
    assert named == set(jobs)


def test_circleci_tests_every_python_that_the_package_names(circleci: dict[str, object]) -> None:
    tested = set(re.findall(r'"(3\.\d+)"', str(circleci["workflows"]).replace("'", '"')))
    prefix = "Programming Language :: Python :: "
    named = {c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)}
    assert tested == named


def test_ci_script_calls_test_and_demo_only() -> None:
    assert called_targets((ROOT / ".ci" / "run").read_text()) == {"test", "demo"}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_make_test_runs_every_check_in_order() -> None:
    commands = dry_make("test")
    tools = ("ruff check", "ruff format --check", "/mypy", "/codespell", "pytest -n")
    places = [commands.index(tool) for tool in tools]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["test", "demo"])
def test_make_installs_by_hash_before_anything_else(name: str) -> None:
    installs = [line for line in dry_make(name).splitlines() if "-m pip" in line]
    assert "-r requirements/build.txt" in installs[0]
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)


def test_make_demo_runs_the_documented_call() -> None:
    commands = " ".join(dry_make("demo").replace("\\\n", " ").split())
    assert "bids_fx tests/data/oneback demo_out participant -d tests/data/oneback/" in commands
    assert commands.count("--contrast") == 9
    assert "Report: demo_out/sub-02.html" in commands


def test_make_says_what_to_do_without_a_python() -> None:
    done = run_make("PYTHON=", "install")
    assert done.returncode == 2
    assert "No Python 3.11 or newer" in done.stderr
    assert "python3-venv" in done.stderr
    assert not (ROOT / "absent").exists()


def test_make_test_sees_to_the_tools_before_the_tests() -> None:
    commands = dry_make("test")
    assert commands.index("apt-get install") < commands.index("pytest -n")


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (("npm", "pandoc", "google-chrome"), None),
        (("npm", "pandoc"), "chromium"),
        (("chromium", "pandoc"), "npm"),
        (("chromium", "npm"), "pandoc"),
        ((), "chromium npm pandoc"),
    ],
)
def test_make_tools_names_what_is_missing(
    tmp_path: Path, there: tuple[str, ...], missing: str | None
) -> None:
    for name in there:
        (tmp_path / name).symlink_to(sys.executable)
    done = run_make("tools", PATH=str(tmp_path), CHROMIUM="")
    assert (done.returncode == 0) is (missing is None)
    assert missing is None or f"apt install {missing})" in done.stderr


@pytest.mark.parametrize(
    ("answering", "taken"), [(("docker", "podman"), "docker"), (("podman",), "podman")]
)
def test_make_image_takes_the_first_engine_that_answers(
    tmp_path: Path, answering: tuple[str, ...], taken: str
) -> None:
    done = make_image(tmp_path, answering)
    assert f"\n{taken} build --tag bids_fx:local" in done.stdout


def test_make_image_says_what_to_do_where_no_engine_answers(tmp_path: Path) -> None:
    done = make_image(tmp_path, ())
    assert done.returncode == 2
    assert "Neither docker nor podman answers" in done.stderr


def test_makefile_and_tests_look_for_the_same_browsers() -> None:
    (names,) = re.findall(r"^BROWSERS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert tuple(names.split()) == NAMES


@pytest.mark.parametrize("name", PINNED)
def test_every_pin_has_a_hash(name: str) -> None:
    blocks = re.split(r"\n(?=[\w.-]+==)", (ROOT / name).read_text())[1:]
    assert blocks
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("name", PINNED)
def test_pins_name_no_host_and_no_folder_of_a_machine(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|@ ", text) is None
    assert re.search(r"(^|\s)/", text) is None


@pytest.mark.parametrize("name", PINNED)
def test_only_docopt_is_built_from_source(name: str) -> None:
    options = re.findall(r"^--.*$", (ROOT / name).read_text(), re.MULTILINE)
    assert options == ["--only-binary :all:", "--no-binary docopt"]


def test_runtime_pins_hold_what_the_package_asks_for_and_what_fetches_templates() -> None:
    pinned = pins("requirements.txt")
    for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["templates"]):
        requirement = Requirement(line)
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_developers_and_users_get_the_same_versions() -> None:
    developers = pins("requirements/dev.txt")
    assert pins("requirements.txt").items() <= developers.items()
    assert {"hatchling", "nilearn", "pymare"} <= developers.keys() | pins("requirements/build.txt")


def test_oracles_have_the_versions_whose_numbers_the_tests_know() -> None:
    developers = pins("requirements/dev.txt")
    assert developers["nilearn"] == "0.14.1"
    assert developers["pymare"] == "0.0.13"
    assert developers["bids-validator-deno"] == "3.0.2"


def test_changes_speak_of_this_version() -> None:
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGES.md").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """Build the wheel that users install."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return zipfile.Path(next(folder.glob("*.whl")))


def test_wheel_ships_every_file_of_the_package(wheel: zipfile.Path) -> None:
    package = ROOT / "bids_fx"
    source = {
        path.relative_to(ROOT).as_posix()
        for folder in (package, package / "data" / "boilerplate")
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "/." not in str(path.relative_to(ROOT))
    }
    names = wheel.root.namelist()
    shipped = {name for name in names if name.startswith("bids_fx/") and name[-1] != "/"}
    assert shipped == source


def test_wheel_holds_the_boilerplate_as_real_files(wheel: zipfile.Path) -> None:
    paths = [path for path in (ROOT / "boilerplate").rglob("*") if path.is_file()]
    assert paths
    for path in paths:
        shipped = wheel / "bids_fx/data" / path.relative_to(ROOT).as_posix()
        assert shipped.read_bytes() == path.read_bytes()


def test_wheel_holds_the_programs_and_the_licence(wheel: zipfile.Path) -> None:
    info = wheel / f"bids_fx-{PROJECT['version']}.dist-info"
    programs = (info / "entry_points.txt").read_text()
    assert "bids_fx = bids_fx.__main__:main" in programs
    assert "bids-fx = bids_fx.__main__:main" in programs
    assert "bids_fx-model = bids_fx.cli.explain_model:main" in programs
    assert "Apache License" in (info / "licenses" / "LICENSE").read_text()


def test_wheel_holds_the_viewer_with_its_licence(wheel: zipfile.Path) -> None:
    digest = hashlib.sha256((wheel / "bids_fx/data/viewer/niivue.umd.js").read_bytes())
    assert f'"{digest.hexdigest()}"' in (ROOT / "hatch_build.py").read_text()
    info = wheel / f"bids_fx-{PROJECT['version']}.dist-info"
    notice = (info / "licenses/bids_fx/data/niivue-licence.txt").read_text()
    assert "Copyright (c) 2021, Niivue" in notice


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build the source distribution and return the names in it."""
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        return [name.partition("/")[2] for name in archive.getnames()]


def test_source_distribution_has_what_fetches_the_viewer_and_not_the_viewer(
    sources: list[str],
) -> None:
    assert "hatch_build.py" in sources
    assert [name for name in sources if "umd" in name] == []


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    checked = [hadolint, "--failure-threshold", "warning", ROOT / "Dockerfile"]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_image_installs_dependencies_before_the_source(dockerfile: str) -> None:
    assert dockerfile.index("-r requirements.txt") < dockerfile.index("COPY bids_fx bids_fx")


def test_image_installs_nothing_without_a_hash(dockerfile: str) -> None:
    fetched = re.findall(r"pip (?:wheel|install|--python \S+ install) [^&\n]*", dockerfile)
    assert len(fetched) == dockerfile.count("-m pip ")
    assert all("--require-hashes" in call or "--no-deps" in call for call in fetched)
    assert re.search(r"apt|gcc|build-essential", dockerfile) is None


def test_image_keeps_nothing_that_only_building_needs(dockerfile: str) -> None:
    final = dockerfile.rpartition("FROM ${BASE}")[2]
    assert "pip" not in final
    assert "/opt/build" not in final


def test_image_says_its_version(dockerfile: str) -> None:
    assert f"ARG VERSION={PROJECT['version']}\n" in dockerfile
    assert 'org.opencontainers.image.version="${VERSION}"' in dockerfile


@pytest.mark.parametrize(
    "setting",
    [
        "LANG=C.UTF-8",
        "NO_ET=1",
        "NIPYPE_NO_ET=1",
        "OMP_NUM_THREADS=1",
        "PYTHONNOUSERSITE=1",
        "HOME=/home/bids_fx",
        "USER=bids_fx",
        "LOGNAME=bids_fx",
        "TEMPLATEFLOW_AUTOUPDATE=off",
        "TEMPLATEFLOW_HOME=/opt/templateflow",
        "BIDS_FX_DOCKER_TAG=${TAG}",
    ],
)
def test_image_runs_for_any_user_and_sends_nothing(dockerfile: str, setting: str) -> None:
    (environment,) = re.findall(r"^ENV (PATH=/opt/bids_fx.*)$", dockerfile, re.MULTILINE)
    assert setting in environment.split()


def test_image_leaves_the_folder_of_matplotlib_to_the_program(dockerfile: str) -> None:
    assert re.search(r"^ENV .*MPLCONFIGDIR", dockerfile, re.MULTILINE) is None


def test_image_gets_all_that_it_copies(dockerfile: str) -> None:
    copied = {
        source
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE)
        for source in sources.split()
    }
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert copied == let_in | {"bids_fx/data"}
    assert all((ROOT / source).exists() for source in copied)
