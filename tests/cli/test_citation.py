"""The files of the methods text: formatted by pandoc where it is there, and never without it."""

from __future__ import annotations

import logging
import re
import shutil
import time
from pathlib import Path

import pytest

from bids_fx.cli import citation
from bids_fx.cli.citation import format_citation, write_citation
from bids_fx.methods import render_methods
from bids_fx.records import MethodsText
from bids_fx.settings import AnalysisSettings
from tests.small_plans import make_contrast, make_plan, make_run

VERSIONS = {"bids_fx": "1.0.0"}
ALL_FILES = {"CITATION.md", "CITATION.bib", "CITATION.html", "CITATION.tex"}


@pytest.fixture
def text() -> MethodsText:
    """Return the methods text of two runs."""
    return render_methods([make_plan()], VERSIONS)


@pytest.fixture
def pandoc() -> str:
    """Return the path of pandoc, which the tests need."""
    found = shutil.which("pandoc")
    assert found is not None, "pandoc is not here; 'make tools' sees to it"
    return found


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a function that puts a shell script in pandoc's place."""

    def make(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "pandoc"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return make


@pytest.fixture
def warnings(caplog, monkeypatch):
    """Return what is told of the program's warnings."""
    monkeypatch.setattr(logging.getLogger("bids_fx"), "propagate", True)
    caplog.set_level(logging.INFO, "bids_fx")
    return caplog


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "logs").iterdir()}


# ------------------------------------------------------------------------------- with pandoc


def test_every_reference_is_resolved_in_the_html(pandoc, text):
    html = format_citation(text)["CITATION.html"]
    keys = {key for key, _ in text.references}
    assert set(re.findall(r'id="ref-([\w-]+)"', html)) == keys
    assert "(Patterson and Thompson 1971)" in " ".join(re.sub("<[^>]+>", "", html).split())
    assert "[@" not in html


def test_every_reference_is_cited_in_the_tex_and_listed_from_the_bibliography(pandoc, text):
    tex = format_citation(text)["CITATION.tex"]
    cited = {key for keys in re.findall(r"\\citep\{([^}]*)\}", tex) for key in keys.split(",")}
    assert {key.strip() for key in cited} == {key for key, _ in text.references}
    assert "\\bibliography{CITATION.bib}" in tex
    assert "\\documentclass" in tex


def test_page_asks_for_nothing(pandoc, text):
    html = format_citation(text)["CITATION.html"]
    assert "default-src 'none'" in html
    assert re.findall(r"<(?:script|link|img|iframe)\b|\bsrc=|@import|url\(", html) == []


def test_text_is_formatted_the_same_each_time_and_names_no_folder(pandoc, text, tmp_path):
    first, second = format_citation(text), format_citation(text)
    assert first == second
    assert not any(re.search(r"bids_fx-\w{8}|/tmp|/home", content) for content in first.values())


def test_templates_of_the_user_change_nothing(pandoc, text, tmp_path, monkeypatch):
    plain = format_citation(text)
    for name in ("default.latex", "default.html5"):
        template = tmp_path / ".pandoc" / "templates" / name
        template.parent.mkdir(parents=True, exist_ok=True)
        template.write_text("MINE $body$")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert format_citation(text) == plain


def test_names_in_the_data_are_shown_as_text(pandoc):
    name = "<script>x</script> \\input{y} $z$ [@w]"
    contrast = make_contrast(name, face=1.0)
    run = make_run("sub-01_task-x", contrasts=(contrast,))
    settings = AnalysisSettings(model_name=name)
    text = render_methods([make_plan((run,), settings=settings)], VERSIONS)
    formatted = format_citation(text)
    assert "<script" not in formatted["CITATION.html"]
    assert "&lt;script&gt;x&lt;/script&gt;" in formatted["CITATION.html"]
    assert "\\input{" not in formatted["CITATION.tex"]
    assert "\\textbackslash input\\{y\\}" in formatted["CITATION.tex"]
    assert "\\$z\\$" in formatted["CITATION.tex"]


def test_text_without_references_has_no_heading_for_them(pandoc):
    text = MethodsText(markdown="Nothing was done.\n", references=(), bibtex="")
    assert "References" not in format_citation(text)["CITATION.html"]


def test_all_files_lie_in_the_logs(pandoc, text, tmp_path):
    assert write_citation(tmp_path, text) == tmp_path / "logs" / "CITATION.md"
    assert files(tmp_path) == ALL_FILES


# ------------------------------------------------------------- without it, or with a bad one


def test_without_pandoc_nothing_is_said_and_the_text_is_there(
    text, tmp_path, monkeypatch, warnings
):
    monkeypatch.setenv("PATH", str(tmp_path))
    write_citation(tmp_path, text)
    assert files(tmp_path) == {"CITATION.md", "CITATION.bib"}
    assert warnings.messages == []


def test_failure_of_pandoc_is_told_and_costs_nothing_else(text, tmp_path, stand_in, warnings):
    stand_in("echo 'no such luck' >&2; exit 3")
    write_citation(tmp_path, text)
    assert files(tmp_path) == {"CITATION.md", "CITATION.bib"}
    (message,) = warnings.messages
    assert "were not written: pandoc ended with 3 (no such luck)" in message


def test_pandoc_that_cannot_be_started_is_told(text, stand_in, warnings):
    stand_in("")
    Path(shutil.which("pandoc") or "").write_text("#!/no/such/interpreter\n")
    assert format_citation(text) == {}
    assert "were not written" in warnings.text


def test_pandoc_that_writes_no_text_is_told(text, stand_in, warnings):
    stand_in("printf '\\377'")
    assert format_citation(text) == {}
    assert "were not written" in warnings.text


def test_pandoc_that_takes_too_long_is_ended_with_what_it_started(
    text, stand_in, warnings, monkeypatch
):
    monkeypatch.setattr(citation, "TIMEOUT_S", 0.2)
    stand_in("sleep 600 & sleep 600")
    begun = time.monotonic()
    assert format_citation(text) == {}
    # The children hold the pipes open: who waits for them waits ten minutes.
    assert time.monotonic() - begun < 60
    assert "pandoc took more than 0.2 s" in warnings.text


def test_pandoc_without_citeproc_leaves_the_references_to_us(text, stand_in):
    stand_in(
        'case "$1" in --help) echo "  --natbib";; '
        '*) test "$1" != --sandbox && cat > /dev/null && echo TEX;; esac'
    )
    formatted = format_citation(text)
    assert formatted["CITATION.tex"] == "TEX\n"
    assert '<a href="#ref-1">1</a>' in formatted["CITATION.html"]
    assert "Gorgolewski" in formatted["CITATION.html"]


def test_files_of_an_earlier_text_do_not_stay(pandoc, text, tmp_path, monkeypatch):
    write_citation(tmp_path, text)
    monkeypatch.setenv("PATH", str(tmp_path))
    write_citation(tmp_path, text)
    assert files(tmp_path) == {"CITATION.md", "CITATION.bib"}
