"""Conditions with names that no page, table or file name expects: from events to the browser."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from tests.browser import HOSTILE, Opened
from tests.synthetic import DatasetSpec, make_dataset

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a participant who saw hostile conditions."""
    root = tmp_path_factory.mktemp("hostile")
    spec = DatasetSpec(
        runs=("1",),
        effects=dict.fromkeys(HOSTILE, 2.0),
        shape=(10, 10, 6),
        voxel_mm=8.0,
        n_volumes=60,
    )
    truth = make_dataset(root / "raw", spec)
    options = ["-d", str(truth.derivatives_dir), "--nprocs", "1", "--skip-bids-validation"]
    for index, name in enumerate(HOSTILE):
        options += ["--contrast", f"hostile{index} = `{name}`"]
    subprocess.run(
        [
            *(sys.executable, "-m", "bids_fx"),
            *(str(truth.bids_dir), str(root / "out"), "participant", *options),
        ],
        check=True,
        capture_output=True,
    )
    return root / "out" / "sub-01.html"


@pytest.mark.parametrize("width", [400, 1280])
def test_report_shows_hostile_names_as_text(
    open_page: Callable[..., Opened], report: Path, width: int
) -> None:
    opened = open_page(report, width=width)
    opened.page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    for image in opened.page.locator("img").all():
        image.scroll_into_view_if_needed()
    assert (opened.requests, opened.errors) == ([], [])
    assert opened.overflow() == 0
    cells = opened.page.locator("#runs th[scope=row]").all_inner_texts()
    assert set(HOSTILE) <= set(cells)
    assert opened.page.evaluate("document.querySelectorAll('[src=\"x\"], [onerror]').length") == 0


#: Texts that are programs where Markdown, TeX, a template or a link is read.
MARKED = (
    "[a](javascript:alert`1`)",
    "![b](https://x.example/b.png)",
    "<https://x.example>",
    "\\input{/etc/passwd} $x$ %",
    "{{7*7}} {% raw %}",
    "<svg/onload=alert(1)>",
    "'><a href='javascript:alert(1)'>c</a>",
    "-->]]></script><script>alert(1)</script>",
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a call whose every free text is hostile, the group's page included."""
    root = tmp_path_factory.mktemp("marked")
    effects = dict.fromkeys(MARKED, 2.0)
    spec = DatasetSpec(runs=("1",), effects=effects, shape=(10, 10, 6), voxel_mm=8.0, n_volumes=60)
    truth = make_dataset(root / "raw", spec)
    columns = [f"trial_type.{name}" for name in MARKED]
    contrasts = [
        {"Name": f"{name} {i}", "ConditionList": [column], "Weights": [1], "Test": "t"}
        for i, (name, column) in enumerate(zip(MARKED, columns, strict=True))
    ]
    node = {
        "Level": "Run",
        "Name": "run",
        "GroupBy": ["run", "subject"],
        "Transformations": {
            "Transformer": "pybids-transforms-v1",
            "Instructions": [{"Name": "Factor", "Input": ["trial_type"]}],
        },
        "Model": {"X": [*columns, 1], "Type": "glm"},
        "Contrasts": contrasts,
    }
    text = " ".join(MARKED)
    model = {"Name": text, "Description": text, "BIDSModelVersion": "1.0.0", "Nodes": [node]}
    (root / "model_smdl.json").write_text(json.dumps(model))
    folders = (str(truth.bids_dir), str(root / "out"))
    common = ("--nprocs", "1", "--skip-bids-validation")
    derivatives = ("-d", str(truth.derivatives_dir))
    words = (*folders, "participant", *derivatives, "-m", str(root / "model_smdl.json"), *common)
    assert main(list(words)) == 0
    assert main([*folders, "group", *common]) == 0
    return root / "out"


@pytest.mark.parametrize("name", ["sub-01.html", "index.html", "logs/CITATION.html"])
def test_no_text_becomes_a_program_a_link_or_a_picture(
    open_page: Callable[..., Opened], pages: Path, name: str
) -> None:
    opened = open_page(pages / name)
    opened.page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert (opened.requests, opened.errors) == ([], [])
    found = opened.page.evaluate(
        """() => [...document.querySelectorAll('*')].filter(element =>
            [...element.attributes].some(one => one.name.startsWith('on')
                || /^\\s*javascript:/i.test(one.value) || /x\\.example/.test(
                    ['href', 'src'].includes(one.name) ? one.value : ''))
        ).map(element => element.outerHTML.slice(0, 200))"""
    )
    assert found == []
    if name == "sub-01.html":
        shown = opened.page.inner_text("body")
        assert [text for text in MARKED if text not in shown] == []


def test_methods_in_tex_run_no_command_of_the_data(pages: Path) -> None:
    text = (pages / "logs" / "CITATION.tex").read_text()
    assert "/etc/passwd" in text
    assert "\\input{" not in text
