"""Conditions with names that no page, table or file name expects: from events to the browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
