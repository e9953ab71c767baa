"""The scripts of a page, and the policy that lets these alone run."""

from __future__ import annotations

import base64
import hashlib

import pytest

from bids_fx.reports.scripts import inline_scripts


def directives(policy: str) -> dict[str, str]:
    """Return what a policy says, by directive."""
    return dict(part.split(" ", 1) for part in policy.split("; "))


def test_each_script_is_named_by_its_hash() -> None:
    made = inline_scripts(["let x = 1;", "x += 1;\n"])
    assert made.tags == "<script>let x = 1;</script>\n<script>x += 1;\n</script>"
    hashes = [
        base64.b64encode(hashlib.sha256(text).digest()).decode()
        for text in (b"let x = 1;", b"x += 1;\n")
    ]
    assert directives(made.policy)["script-src"] == " ".join(f"'sha256-{one}'" for one in hashes)


def test_page_without_scripts_runs_none() -> None:
    made = inline_scripts([])
    assert made.tags == ""
    found = directives(made.policy)
    assert found["default-src"] == "'none'"
    assert "script-src" not in found


def test_further_directives_stand_beside_and_in_place_of_the_own() -> None:
    found = directives(
        inline_scripts([], {"worker-src": "blob:", "img-src": "data: blob:"}).policy
    )
    assert (found["worker-src"], found["img-src"]) == ("blob:", "data: blob:")
    assert found["default-src"] == "'none'"


@pytest.mark.parametrize("script", ["'</SCRIPT>'", "'<script>'", "x<!--y", "a\r\nb"])
def test_script_that_html_would_read_otherwise_is_refused(script: str) -> None:
    with pytest.raises(ValueError, match="what HTML takes for"):
        inline_scripts([script])


def test_script_that_is_held_may_be_started_but_does_not_run_by_itself() -> None:
    made = inline_scripts(["let x = 1;"], held=["let y = 2;"])
    assert made.tags == "<script>let x = 1;</script>"
    alone = [inline_scripts([text]).policy for text in ("let x = 1;", "let y = 2;")]
    sources = [directives(policy)["script-src"] for policy in alone]
    assert directives(made.policy)["script-src"] == " ".join(sources)
