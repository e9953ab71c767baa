"""What users build and install: Makefile, CI, pinned requirements, wheel and image."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    "requirements/publish.txt",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def called_targets(commands: str) -> set[str]:
    return set(re.findall(r"^\s*make ([a-z0-9-]+)", commands, re.MULTILINE))


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


def make_image(
    folder: Path, answering: tuple[str, ...], target: str = "image"
) -> subprocess.CompletedProcess[str]:
    """Make the image where both engines are installed, and some of them answer and tell calls."""
    for name in ("docker", "podman"):
        program = folder / name
        answer = f'echo "{name} $*"' if name in answering else "exit 1"
        program.write_text(f'#!/bin/sh\necho "{name} $1" >>"{folder}/asked"\n{answer}\n')
        program.chmod(0o755)
    return run_make(target, "--old-file=viewer", PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What `.circleci/config.yml` says.

    Parameters
    ----------
    jobs : dict
        The jobs by name.
    steps : dict
        What the workflow says of each of its jobs, by name.
    config : dict
        All of it.
    """

    jobs: dict[str, Any]
    steps: dict[str, Any]
    config: dict[str, Any]


@pytest.fixture(scope="module")
def circleci() -> Pipeline:
    config = yaml.safe_load((ROOT / ".circleci" / "config.yml").read_text())
    (workflow,) = config["workflows"].values()
    steps = [{step: {}} if isinstance(step, str) else step for step in workflow["jobs"]]
    named = {name: options for step in steps for name, options in step.items()}
    assert len(named) == len(steps)
    return Pipeline(jobs=config["jobs"], steps=named, config=config)


def test_circleci_calls_make_and_its_targets_only(circleci: Pipeline) -> None:
    commands = list(circleci_commands(circleci.jobs))
    makes = [re.sub(r'^sudo --preserve-env env PATH="\$PATH" ', "", one) for one in commands]
    words = [one.split() for one in makes]
    assert {(len(one), one[0]) for one in words} == {(2, "make")}
    assert {one[1] for one in words} <= make_targets()


def test_circleci_runs_every_check(circleci: Pipeline) -> None:
    called = {command.split()[-1] for command in circleci_commands(circleci.jobs)}
    assert called >= {"style", "types", "spelling", "unit", "oracle", "e2e", "coverage", "demo"}
    assert called >= {"check-pins", "audit", "test-image", "test-cluster"}


def test_circleci_workflow_runs_every_job(circleci: Pipeline) -> None:
    assert circleci.steps.keys() == circleci.jobs.keys()


def test_circleci_uses_only_executors_and_commands_that_it_has(circleci: Pipeline) -> None:
    for name, job in circleci.jobs.items():
        executor = job["executor"]
        chosen = executor["name"] if isinstance(executor, dict) else executor
        assert chosen in circleci.config["executors"], name
        for step in job["steps"]:
            kind = step if isinstance(step, str) else next(iter(step))
            known = {"checkout", "run", "store_artifacts"}
            assert kind in known | circleci.config["commands"].keys(), name


def test_circleci_gives_every_parameter_that_a_job_asks_for(circleci: Pipeline) -> None:
    for name, job in circleci.jobs.items():
        given = circleci.steps[name].get("matrix", {}).get("parameters", {})
        assert given.keys() == job.get("parameters", {}).keys(), name


def test_circleci_keeps_the_report_of_the_demo(circleci: Pipeline) -> None:
    kept = [step["store_artifacts"] for step in circleci.jobs["demo"]["steps"][2:]]
    assert [one["path"] for one in kept] == ["demo_out/sub-02.html"]


def test_circleci_tests_every_python_that_the_package_names(circleci: Pipeline) -> None:
    prefix = "Programming Language :: Python :: "
    named = [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)]
    matrices = [step["matrix"] for step in circleci.steps.values() if "matrix" in step]
    assert [matrix["parameters"] for matrix in matrices] == [{"version": named}] * 2
    makefile = (ROOT / "Makefile").read_text()
    assert re.findall(r"^PINNED_PYTHONS := (.*)$", makefile, re.MULTILINE) == [" ".join(named)]


def test_circleci_publishes_what_passed_all_else_and_on_tags_only(circleci: Pipeline) -> None:
    published = {name for name in circleci.jobs if name.startswith("publish-")}
    assert published == {"publish-image", "publish-package"}
    for name in published:
        step = circleci.steps[name]
        assert set(step["requires"]) == circleci.jobs.keys() - published
        assert step["filters"]["branches"] == {"ignore": "/.*/"}


def test_circleci_runs_for_a_tag_what_publishing_waits_for(circleci: Pipeline) -> None:
    filters = [step["filters"]["tags"] for step in circleci.steps.values()]
    assert filters == [{"only": "/^v.*/"}] * len(circleci.jobs)
    branches = [step["filters"] for step in circleci.steps.values() if "requires" not in step]
    assert all("branches" not in one for one in branches)


def test_circleci_keys_its_cache_by_files_that_are_there(circleci: Pipeline) -> None:
    text = json.dumps(circleci.config["commands"])
    named = re.findall(r'checksum \\"([^"]+)\\"', text)
    assert named
    assert all((ROOT / name).is_file() for name in named)
    restored = circleci.config["commands"]["prepare"]["steps"][1]["restore_cache"]["keys"]
    saved = circleci.config["commands"]["keep_downloads"]["steps"][0]["save_cache"]["key"]
    assert restored[0] == saved
    assert saved.startswith(restored[1])


def test_every_target_is_phony_and_listed() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == make_targets()
    listed = run_make("help").stdout
    assert {line.split()[0] for line in listed.splitlines()} == make_targets()


@pytest.mark.parametrize("target", ["publish-image", "publish-package"])
def test_only_the_tag_of_this_version_is_published(target: str) -> None:
    done = run_make(target, "RELEASE=v0.0.0", "ENGINE=false")
    assert done.returncode == 2
    assert f'RELEASE is "v0.0.0", but this is v{PROJECT["version"]}.' in done.stderr


@pytest.mark.parametrize(
    ("target", "missing"),
    [("publish-image", "DOCKER_REPOSITORY"), ("publish-package", "TWINE_PASSWORD")],
)
def test_publishing_says_which_variable_is_missing(target: str, missing: str) -> None:
    names = ("DOCKER_REPOSITORY", "DOCKER_USER", "DOCKER_PASSWORD", "TWINE_PASSWORD")
    release = f"RELEASE=v{PROJECT['version']}"
    done = run_make(target, release, "ENGINE=false", **dict.fromkeys(names, ""))
    assert done.returncode == 2
    assert f"{missing} is not set." in done.stderr


def published(target: str, folder: Path, **environment: str) -> list[str]:
    """Publish this version with programs that only tell how they are called; return the calls."""
    calls = folder / "calls"
    (folder / "bin").mkdir()
    for name in ("bin/python", "bin/twine", "engine", "npm"):
        program = folder / name
        told = f"{name} $*${{BIDS_FX_VIEWER:+ (viewer: $BIDS_FX_VIEWER)}}"
        program.write_text(
            f'#!/bin/sh\necho "{told}" >> {calls}\n[ "$1" != login ] || cat >> {calls}\n'
        )
        program.chmod(0o755)
    for name in (".base", ".publish"):
        (folder / name).touch()
    settings = (f"VENV={folder}", f"DIST={folder / 'dist'}", f"ENGINE={folder / 'engine'}")
    release = f"RELEASE=v{PROJECT['version']}"
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = run_make(target, release, *settings, PATH=path, BIDS_FX_VIEWER="", **environment)
    assert done.returncode == 0, done.stderr
    assert "sesame" not in done.stdout + done.stderr
    return calls.read_text().splitlines()


def test_image_is_built_and_pushed_under_the_name_of_its_version(tmp_path: Path) -> None:
    _, built, *rest = published(
        "publish-image",
        tmp_path,
        DOCKER_REPOSITORY="registry.example/study/bids_fx",
        DOCKER_USER="someone",
        DOCKER_PASSWORD="sesame",
    )
    name = f"registry.example/study/bids_fx:{PROJECT['version']}"
    assert built.startswith(f"engine build --tag {name} --build-arg TAG={name}")
    assert " --build-arg BIDS_FX_VIEWER=require " in built
    login = "engine login --username someone --password-stdin registry.example"
    assert rest == [login, "sesame", f"engine push {name}"]


def test_package_is_built_and_checked_before_it_is_uploaded(tmp_path: Path) -> None:
    calls = published("publish-package", tmp_path, TWINE_PASSWORD="sesame")
    folder = tmp_path / "dist"
    assert calls == [
        "bin/python hatch_build.py (viewer: require)",
        f"bin/python -m hatchling build --directory {folder} (viewer: require)",
        f"bin/twine check --strict {folder}/* (viewer: require)",
        f"bin/twine upload --non-interactive {folder}/*",
    ]


def test_package_is_not_published_where_no_npm_can_fetch_the_viewer(tmp_path: Path) -> None:
    (tmp_path / "sed").symlink_to(str(shutil.which("sed")))
    release = f"RELEASE=v{PROJECT['version']}"
    done = run_make("publish-package", release, PATH=str(tmp_path), TWINE_PASSWORD="sesame")
    assert done.returncode == 2
    assert "npm is needed, and not here: install it (Debian: apt install npm)." in done.stderr


def test_ci_script_calls_what_runs_the_program_everywhere() -> None:
    called = called_targets((ROOT / ".ci" / "run").read_text())
    assert called == {"test", "demo", "test-image", "test-cluster"}
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


def test_make_image_asks_once_which_engine_answers(tmp_path: Path) -> None:
    make_image(tmp_path, ("podman",))
    assert (tmp_path / "asked").read_text().splitlines() == [
        *("docker info", "podman info", "podman build")
    ]


def test_no_engine_is_asked_for_what_needs_none(tmp_path: Path) -> None:
    assert make_image(tmp_path, ("docker",), "help").returncode == 0
    assert not (tmp_path / "asked").exists()


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


def test_runtime_pins_hold_what_the_package_asks_for() -> None:
    pinned = pins("requirements.txt")
    for line in PROJECT["dependencies"]:
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
    assert "bids_fx-templates = bids_fx.cli.fetch_templates:main" in programs
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


def see_to_an_engine(folder: Path, user: int) -> subprocess.CompletedProcess[str]:
    """Call what `make test-image` calls, where there is no engine and a user has apt."""
    for name, answer in (("apt-get", 'echo "apt-get $*"'), ("id", f"echo {user}")):
        (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
        (folder / name).chmod(0o755)
    for name in ("date", "dirname"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return subprocess.run(
        ["/bin/sh", ROOT / "tests" / "image" / "with_image.sh", "true"],
        env={"PATH": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_an_engine_root_gets_podman(tmp_path: Path) -> None:
    done = see_to_an_engine(tmp_path, 0)
    assert "install -q -y --no-install-recommends podman runc ca-certificates" in done.stdout


def test_without_an_engine_others_are_told_what_to_install(tmp_path: Path) -> None:
    done = see_to_an_engine(tmp_path, 1000)
    assert done.returncode == 1
    assert "apt install podman runc ca-certificates" in done.stderr
    assert "apt-get" not in done.stdout


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    checked = [hadolint, "--failure-threshold", "warning", ROOT / "Dockerfile"]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_image_installs_dependencies_before_the_source(dockerfile: str) -> None:
    assert dockerfile.index("-r requirements.txt") < dockerfile.index("COPY bids_fx bids_fx")


def test_image_fetches_templates_before_it_gets_the_whole_source(dockerfile: str) -> None:
    stage = dockerfile.partition("AS templates\n")[2].partition("\nFROM")[0]
    copied = re.findall(r"^COPY (.*)$", stage, re.MULTILINE)
    sources = [source for line in copied for source in line.split()[:-1]]
    assert sources
    assert all(source.endswith(".py") for source in sources)


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
    assert let_in <= copied
    assert all(source in let_in or source.startswith("bids_fx/") for source in copied)
    assert all((ROOT / source).exists() for source in copied)
