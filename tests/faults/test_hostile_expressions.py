"""What looks like a program is parsed, never run: in options, files of options and models."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from bids_fx.cli.plugin_file import read_plugin
from bids_fx.cli.run import main
from bids_fx.errors import BIDSFXError
from tests.synthetic import DatasetSpec, Truth, make_dataset
from tests.test_architecture import modules, tree_of

DEEP = 100_000
#: `{}` is a file that a program would make.
PAYLOADS = {
    "import": "__import__('os').system('touch {}')",
    "open": "open('{}', 'w')",
    "classes": "().__class__.__base__.__subclasses__()",
    "at": "@open('{}', 'w')",
    "template": "{{{{ open('{}', 'w') }}}}",
    "shell": "$(touch {}); `touch {}`",
    "nested": "(" * DEEP + "a" + ")" * DEEP,
    "unclosed": "(" * DEEP,
    "minus": "-" * DEEP + "a",
    "power": "9**9**9",
    "infinite": "1e999",
    "huge": "9" * DEEP,
    "format": "{{0.__class__}}%s%n",
}
OPENINGS = {"list": "[", "object": '{"a":', "sequence": "- "}
#: Functions that run what they are given, by the name in a call; what may still call them.
RUNNING = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "runpy.run_path", "import_module"),
}
#: Arguments that make a function run what it is given.
DANGEROUS = ("shell", "allow_pickle")
MAY_RUN = {("workflows.pickles", "pickle.load")}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return make_dataset(tmp_path_factory.mktemp("plain") / "data", DatasetSpec(runs=("1",)))


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def call(truth: Truth, tmp_path: Path, *options: str) -> int:
    folders = (str(truth.bids_dir), str(tmp_path / "out"), "participant")
    return main([*folders, "--skip-bids-validation", "--dry-run", *options])


def payload(name: str, ran: Path) -> str:
    return PAYLOADS[name].format(*(ran, ran))


@pytest.mark.parametrize("form", ["{}", "F({}; face)", "a = 2*{}", "a = `{}`"])
def test_contrasts_are_refused_and_not_run(
    form: str, truth: Truth, ran: Path, tmp_path: Path
) -> None:
    contrasts = [f"--contrast={form.format(payload(name, ran))}" for name in PAYLOADS]
    assert call(truth, tmp_path, "--missing=error", *contrasts) in (2, 65)
    assert not ran.exists()


def test_confounds_are_refused_and_not_run(truth: Truth, ran: Path, tmp_path: Path) -> None:
    confounds = [f"--confounds={payload(name, ran)}" for name in PAYLOADS]
    assert call(truth, tmp_path, "--missing=error", *confounds) == 65
    assert not ran.exists()


@pytest.mark.parametrize(
    "option",
    [
        *("--threshold={}", "--threshold=fdr:{}", "--qc-fail={}", "--qc-fail=fd_mean>{}"),
        *("--hrf-model=fir:{}", "--hrf-model=doublegamma:{}", "--drift-model=polynomial:{}"),
        *("--mem-mb={}", "--high-pass={}", "--nprocs={}", "--run-dof={}", "--space={}"),
        *("--participant-label={}", "--task-id={}", "--links={}"),
    ],
)
def test_option_is_refused_and_not_run(
    option: str, truth: Truth, ran: Path, tmp_path: Path
) -> None:
    codes = {name: call(truth, tmp_path, option.format(payload(name, ran))) for name in PAYLOADS}
    # A number of many digits is a good label, of which there is none.
    assert {name: code for name, code in codes.items() if code not in (2, 18)} == {}
    assert not ran.exists()


@pytest.mark.parametrize("option", ["--config-file", "--bids-filter-file"])
@pytest.mark.parametrize("is_bare", [False, True])
def test_file_of_options_is_refused_and_not_run(
    option: str, is_bare: bool, truth: Truth, ran: Path, tmp_path: Path
) -> None:
    for name in PAYLOADS:
        text = payload(name, ran)
        if not is_bare:
            text = {
                "--config-file": f"qc-fail = {json.dumps(text)}",
                "--bids-filter-file": json.dumps({"bold": {"task": {"a": text}}}),
            }[option]
        (tmp_path / "file").write_text(text)
        assert call(truth, tmp_path, option, str(tmp_path / "file")) == 2, name
    assert not ran.exists()


@pytest.mark.parametrize("name", [*PAYLOADS, *OPENINGS])
@pytest.mark.parametrize("form", ["{}", "plugin: !!python/object/apply:os.system ['{}']"])
def test_plugin_file_is_refused_and_not_run(
    form: str, name: str, ran: Path, tmp_path: Path
) -> None:
    text = OPENINGS[name] * DEEP if name in OPENINGS else payload(name, ran)
    (tmp_path / "file").write_text(form.format(text))
    with pytest.raises(BIDSFXError):
        read_plugin(tmp_path / "file")
    assert not ran.exists()


@pytest.mark.parametrize("name", OPENINGS)
@pytest.mark.parametrize("option", ["--config-file", "--bids-filter-file", "--model"])
def test_file_nested_without_end_is_refused(
    option: str, name: str, truth: Truth, tmp_path: Path
) -> None:
    begin = "contrast = " if option == "--config-file" else ""
    (tmp_path / "file").write_text(begin + OPENINGS[name] * DEEP)
    assert call(truth, tmp_path, option, str(tmp_path / "file")) in (2, 65)


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("place", ["Weights", "ConditionList", "X", "Filter", "Assign", "Formula"])
def test_model_is_refused_and_not_run(
    place: str, name: str, truth: Truth, ran: Path, tmp_path: Path
) -> None:
    text = payload(name, ran)
    contrast = {"Name": "c", "ConditionList": ["face"], "Weights": [1], "Test": "t"}
    node = {
        "Level": "Run",
        "Name": "run",
        "GroupBy": ["run", "subject"],
        "Transformations": {"Transformer": "pybids-transforms-v1", "Instructions": []},
        "Model": {"X": ["face", 1], "Type": "glm"},
        "Contrasts": [contrast],
    }
    instructions = node["Transformations"]["Instructions"]
    if place in contrast:
        contrast[place] = [text]
    elif place == "X":
        node["Model"]["X"] = [text]
    elif place == "Formula":
        node["Model"]["Formula"] = text
    elif place == "Filter":
        instructions.append({"Name": "Filter", "Input": ["face"], "Query": text})
    else:
        instructions.append({"Name": text, "Input": ["face"]})
    model = {"Name": "m", "BIDSModelVersion": "1.0.0", "Nodes": [node]}
    (tmp_path / "file").write_text(json.dumps(model))
    assert call(truth, tmp_path, "--missing=error", "-m", str(tmp_path / "file")) in (2, 65)
    assert not ran.exists()


def running(module: str) -> set[str]:
    """Return what a module calls that runs what it is given."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found |= {one for one in RUNNING if name == one or name.endswith(f".{one}")}
            given = {key.arg: ast.unparse(key.value) for key in node.keywords}
            found |= {key for key in DANGEROUS if given.get(key, "False") != "False"}
            found -= {"compile"} if name == "re.compile" else set()
    return found


@pytest.mark.parametrize("module", modules())
def test_package_runs_no_text_of_data(module: str) -> None:
    assert {(module, name) for name in running(module)} <= MAY_RUN
