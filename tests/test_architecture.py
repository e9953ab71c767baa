"""The rules of the layout: who imports whom, and that no setting is dead or undocumented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bids_fx import settings

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bids_fx"
MAX_LINES = 400
#: Modules that must be one file, by how many they would be otherwise: they are run alone.
PARTS = {"cluster.jobs": 2}

#: What each part of the package may import of the package; the longest name that fits counts,
#: and "" is the package itself (its version). All may import `errors`.
MAY_IMPORT = {
    "cli": (
        *(
            "workflows",
            "reports",
            "methods",
            "dataset",
            "derivatives",
            "plan",
            "memory",
            "drafts",
            "records",
            "inputs",
        ),
        *("contrasts", "settings", "report_settings", "entities", "suggest", "values"),
        *("glm.names", "stats_models", "model_contrasts", "model_checks", "places", "steps"),
        *("missing", "run_by_contrast", "calls", "analyses", "cli", ""),
        *("standing", "threads", "cluster", "logs", "usage", "archive", "container"),
        "json_files",
    ),
    "cluster": (
        *("derivatives.write", "duration", "memory", "records", "settings", "suggest"),
        *("cluster", ""),
        "workflows.plugins",  # how long a job's name may be
    ),
    "cluster.jobs": (),  # a copy of it runs where the package is not
    "workflows": ("interfaces", "logs", "memory", "owners", "records", "usage", "workflows"),
    "interfaces": (
        *("glm", "dataset.images", "derivatives", "records", "inputs"),
        *("reports.contrast_figures", "reports.runfigures", "settings"),
        *("joining", "traces"),
    ),
    "joining": (
        *("glm.combined", "glm.influence", "glm.peaks", "dataset.estimates", "dataset.images"),
        *("derivatives", "records", "inputs", "threads"),
    ),
    "reports": (
        *("derivatives", "records", "inputs", "entities", "settings"),
        *("report_settings", "calls", "analyses", "quality", "standing", "threads"),
        *("glm.design", "glm.names", "run_by_contrast", "reports", ""),
        *("glm.contrasts", "traces", "archive", "json_files", "regular"),
        "glm.combined",  # maps made beforehand come without z; a run alone is combined to itself
    ),
    "methods": (
        "records",
        "quality",
        "report_settings",
        "settings",
        "steps",
        "fragments",
        "boilerplate",
        "",
    ),
    "fragments": ("records", "inputs", "settings", "boilerplate"),
    "boilerplate": (),
    "derivatives": (
        *("records", "inputs", "model", "entities", "settings", "threads", "derivatives", ""),
        *("json_files", "regular"),
        *("calls", "plain", "analyses", "quality", "report_settings", "standing"),
        *("glm.contrasts", "glm.design"),  # the design's sidecar says what it can estimate
        *("glm.carpet", "traces", "usage", "container", "logs", "owners"),
    ),
    "dataset": (
        *("inputs", "entities", "settings", "confounds", "glm.design", "threads", "dataset"),
        *("glm.names", "suggest", "json_files", "regular"),
        "glm.contrasts",  # degrees of freedom of run maps come from the one rank
        "glm.smoothing",  # a series is smoothed while it is read, volume by volume
    ),
    "plan": (
        *("model", "settings", "entities", "records", "inputs", "glm"),
        *("drafts", "grouping", "contrasts", "censoring", "confounds", "missing", ""),
        *("model_contrasts", "stats_models.analysis", "places", "steps"),
    ),
    "missing": ("drafts", "entities", "places", "records", "inputs", "settings"),
    "run_by_contrast": ("entities", "model", "records"),
    "drafts": (
        *("censoring", "confounds", "entities", "records", "inputs", "settings"),
        *("model_runs", "stats_models.records"),
    ),
    "model_variables": ("inputs", "glm.names", "stats_models", "transforms"),
    "model_runs": (
        *("model_variables", "inputs", "glm.design", "stats_models", "suggest", "transforms"),
    ),
    "model_checks": ("drafts", "entities", "model_runs", "stats_models", "suggest"),
    "model_contrasts": (
        *("contrasts", "entities", "expressions", "f_tests", "inputs", "model", "settings"),
        *("stats_models", "transforms.scope", "glm.design", "glm.names", "suggest"),
    ),
    "duration": ("inputs", "records"),
    "memory": ("records", "inputs", "glm", "dataset.estimates", "reports.figures", "threads"),
    "censoring": ("contrasts", "model", "records", "inputs", "glm"),
    "grouping": (
        *("group_contrasts", "places", "steps", "settings", "entities", "records", "inputs"),
    ),
    "places": ("steps", "settings", "entities"),
    "group_contrasts": ("model", "entities", "records", "steps"),
    "contrasts": ("expressions", "model", "settings", "records", "inputs", "glm"),
    "confounds": ("outliers", "records", "inputs"),
    "outliers": ("records", "inputs"),
    "stats_models": (
        *(
            "transforms",
            "entities",
            "settings",
            "suggest",
            "values",
            "expressions",
            "f_tests",
            "glm.names",
            "steps",
            "model",
        ),
        *("stats_models", "json_files"),
    ),
    "transforms": ("entities", "glm.design", "glm.hrf", "glm.names", "suggest", "transforms"),
    "steps": (),
    "calls": ("records",),
    "quality": ("report_settings",),
    "standing": ("calls", "entities", "quality", "report_settings"),
    "analyses": ("calls", "inputs", "plain", "records", "settings"),
    "plain": ("entities",),
    "records": (
        "groups",
        "entities",
        "settings",
        "report_settings",
        "model",
        "inputs",
        "steps",
        "glm.design",
    ),
    "groups": ("entities", "model"),
    "inputs": ("entities", "glm.design"),
    "model": ("entities", "f_tests", "expressions", "vocabulary"),
    "f_tests": ("expressions", "vocabulary"),
    "expressions": ("vocabulary",),
    "vocabulary": ("suggest",),
    "settings": ("report_settings",),
    "report_settings": (),
    "values": ("entities", "quality", "report_settings", "suggest"),
    "traces": ("glm.quality", "inputs", "outliers", "quality", "records"),
    "archive": (),
    "container": (),
    "owners": (),
    "logs": (),
    "usage": (),
    "suggest": (),
    "entities": (),
    "errors": (),
    "json_files": ("regular",),
    "regular": (),
    "threads": (),
    "glm": ("glm",),
    "__main__": ("cli",),
    "": (),
}

#: Third-party packages that only some parts may import.
MAY_USE = {
    "bids": ("dataset.index",),
    "nipype": ("interfaces", "workflows", "cli.run"),
    "matplotlib": ("reports",),
    "nilearn": ("reports", "dataset.masks"),  # never its GLM
    "jinja2": ("reports",),
    "PIL": ("reports",),
    "rich": ("cli",),
    "templateflow": ("cli.fetch_templates",),
}
GLM_USES = {"numpy", "scipy", "threadpoolctl"}


@cache
def modules() -> tuple[str, ...]:
    """Return the names of all modules without ``bids_fx.``; "" is the package itself."""
    paths = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return tuple(
        ".".join(path.with_suffix("").parts).removesuffix("__init__").rstrip(".") for path in paths
    )


def path_of(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


@cache
def imports(module: str) -> tuple[str, ...]:
    """Return all that a module imports, in functions too, by full name."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: line {node.lineno} imports by relative name"
            source = node.module or ""
            yield from (f"{source}.{alias.name}" for alias in node.names)


@cache
def own_imports(module: str) -> frozenset[str]:
    """Return the modules of the package that a module imports, without ``bids_fx.``."""
    known = set(modules())
    found = set()
    for name in imports(module):
        if name.split(".")[0] == "bids_fx":
            target = name.removeprefix("bids_fx").lstrip(".")
            found.add(target if target in known else target.rpartition(".")[0])
    return frozenset(found)


def belongs(module: str, part: str) -> bool:
    return module == part or (part != "" and module.startswith(f"{part}."))


def part_of(module: str) -> str:
    return max((part for part in MAY_IMPORT if belongs(module, part)), key=len)


def test_every_module_has_a_place_in_the_table() -> None:
    assert [m for m in modules() if not any(belongs(m, part) for part in MAY_IMPORT)] == []


@pytest.mark.parametrize("module", modules())
def test_module_imports_only_what_its_layer_may(module: str) -> None:
    allowed = (*MAY_IMPORT[part_of(module)], "errors")
    refused = {m for m in own_imports(module) if not any(belongs(m, part) for part in allowed)}
    assert refused == set()


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_layer_may_import_only_what_it_does(part: str) -> None:
    allowed = MAY_IMPORT[part]
    used = {m for module in modules() if part_of(module) == part for m in own_imports(module)}
    assert [name for name in allowed if not any(belongs(m, name) for m in used)] == []
    assert len(set(allowed)) == len(allowed)


@pytest.mark.parametrize("module", modules())
def test_third_party_package_is_used_only_where_it_may_be(module: str) -> None:
    used = {name.split(".")[0] for name in imports(module)}
    refused = {
        name
        for name in used & MAY_USE.keys()
        if not any(belongs(module, part) for part in MAY_USE[name])
    }
    assert refused == set()


@pytest.mark.parametrize("module", [m for m in modules() if belongs(m, "glm")])
def test_numerical_core_knows_no_files(module: str) -> None:
    used = {name.split(".")[0] for name in imports(module)} - {"bids_fx"}
    files = {"csv", "gzip", "io", "json", "os", "pathlib", "shutil", "tempfile"}
    assert used <= (set(sys.stdlib_module_names) - files) | GLM_USES


@pytest.mark.parametrize("module", modules())
def test_no_statistics_come_from_nilearn(module: str) -> None:
    assert [name for name in imports(module) if name.startswith("nilearn.glm")] == []


def third_party() -> set[str]:
    """Return the distributions that the package imports, by normalised name."""
    used = {name.split(".")[0] for module in modules() for name in imports(module)}
    providers = packages_distributions()
    return {
        canonicalize_name(providers[name][0])
        for name in used - set(sys.stdlib_module_names) - {"bids_fx"}
    }


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}


def test_every_package_that_is_imported_is_a_declared_dependency() -> None:
    # traits comes with nipype, whose interfaces are made of it
    assert third_party() - declared() - {"traits"} == set()


def test_every_declared_dependency_is_imported() -> None:
    assert declared() - third_party() == set()


@pytest.mark.parametrize("module", modules())
def test_module_is_not_too_long(module: str) -> None:
    assert len(path_of(module).read_text(encoding="utf-8").splitlines()) <= (
        PARTS.get(module, 1) * MAX_LINES
    )


@pytest.mark.parametrize("module", [m for m in modules() if not belongs(m, "cli")])
def test_only_the_command_line_prints(module: str) -> None:
    calls = [node.func for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    assert [f.lineno for f in calls if isinstance(f, ast.Name) and f.id == "print"] == []


def names_of_type(class_name: str) -> set[str]:
    """Return the names of arguments, variables and fields that are annotated with a class."""
    found = set()
    for module in modules():
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.arg) and node.annotation is not None:
                name, annotation = node.arg, node.annotation
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name, annotation = node.target.id, node.annotation
            else:
                continue
            if re.search(rf"\b{class_name}\b", ast.unparse(annotation)):
                found.add(name)
    return found


def attributes_read(class_name: str) -> set[str]:
    """Return the attributes that are read of a class's instances, outside its own module."""
    owners = names_of_type(class_name)
    found = set()
    for module in modules():
        if module == "settings":
            continue
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = node.value
                name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                if name in owners:
                    found.add(node.attr)
    return found


@pytest.mark.parametrize(
    "record",
    [
        settings.AnalysisSettings,
        settings.DataSelection,
        settings.ExecutionSettings,
        settings.Invocation,
    ],
)
def test_every_setting_is_read_somewhere(record: type) -> None:
    names = {field.name for field in fields(record)}
    assert names - attributes_read(record.__name__) == set()


def test_every_setting_can_be_chosen_on_the_command_line() -> None:
    from bids_fx.cli.options import RECORDS
    from bids_fx.cli.table import options_by_name

    chosen = {option.field for option in options_by_name().values()}
    wanted = {f"{key}.{field.name}" for key, record in RECORDS.items() for field in fields(record)}
    # positional, or filled from a file that an option names
    elsewhere = {"data.bids_dir", "data.filters", "data.scope", "execution.out_dir"}
    elsewhere |= {"analysis.model_name", "data.participants_by"}
    assert wanted - chosen - elsewhere == set()


def test_readme_names_every_long_option() -> None:
    from bids_fx.cli import explain_model, fetch_templates
    from bids_fx.cli.cluster_options import CLUSTER_OPTIONS
    from bids_fx.cli.table import options_by_name

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"--[a-z][a-z0-9-]*", readme))
    options = (*options_by_name().values(), *CLUSTER_OPTIONS)
    known = {name for option in options for name in option.names}
    for program in (explain_model, fetch_templates):
        known |= program._parser()._option_string_actions.keys()
    assert {name for name in known if name.startswith("--")} - named == set()


def test_command_line_is_parsed_without_numerical_packages() -> None:
    code = (
        "import sys, bids_fx.cli.parser\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'nibabel', 'nipype', 'matplotlib', 'bids'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
