"""What all tests share: an offline environment, seeded randomness, and no skips in CI."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import numpy as np
    from playwright.sync_api import Browser

    from tests.browser import Opened
    from tests.ended import EndedCall

# Before the first import of numpy, nipype or matplotlib, which read it then.
ROOT = Path(__file__).parent.parent
_HOME = Path(tempfile.mkdtemp(prefix="bids_fx_home_"))
os.environ.update(
    {
        "HOME": str(_HOME),
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": str(_HOME / "matplotlib"),
        "NIPYPE_NO_ET": "1",
        "NO_ET": "1",
        # One BLAS thread: sums in another order are other numbers.
        "MKL_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # Programs that a test starts find the source under test.
        "PYTHONPATH": str(ROOT),
    }
)
for _name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "BIDS_FX_DOCKER_TAG", "TEMPLATEFLOW_HOME"):
    os.environ.pop(_name, None)


def _unsynced(descriptor: int) -> None:
    """Leave it to the system when a file reaches the disk: no test goes on after a power cut.

    Programs that a test starts sync as their users' do.
    """
    os.fstat(descriptor)  # an error as before where nothing is open


# A small call writes some two hundred files, and waits as long for the disk as it computes.
os.fsync = _unsynced

# As a terminal has them: who starts tests by nohup or in the background has them ignored, and so
# would all programs that are started here.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        _is_ctrl_c = _number == signal.SIGINT
        signal.signal(_number, signal.default_int_handler if _is_ctrl_c else signal.SIG_DFL)

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules that run the program first, and last the examples in docstrings.

    What one process begins last, the other waits for: let it be short.
    """
    items.sort(
        key=lambda item: (
            item.get_closest_marker("e2e") is None,
            isinstance(item, pytest.DoctestItem),
        )
    )


def pytest_unconfigure() -> None:
    """Remove the home that was made for this process."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skipped test fail in CI, which promises all that a test may need."""
    report = yield
    # An expected failure (wasxfail) is reported as skipped too, and is none.
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Make a module fail in CI that skips all its tests."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped in CI: {report.longrepr}"
    return report


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator that gives every test the same numbers."""
    import numpy as np

    return np.random.default_rng(20251121)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real data, each with its origin beside it; never written to."""
    return ROOT / "tests" / "data"


@pytest.fixture(scope="session")
def oneback(real_data: Path) -> Path:
    """Return the small real dataset: events, sidecars and derivatives; never written to."""
    return real_data / "oneback"


@pytest.fixture
def template_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the user says that TemplateFlow's archive is; any connection is an error."""

    def refuse(*_: object) -> None:
        raise AssertionError("something asks for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    return tmp_path / "templateflow"


@pytest.fixture(scope="session")
def ended_call(tmp_path_factory: pytest.TempPathFactory) -> EndedCall:
    """Return what gives a dataset and the outputs of a call on it, made once (`tests.ended`)."""
    from tests.ended import ended_calls

    return ended_calls(tmp_path_factory.mktemp("ended"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium; it is closed with the module, whose loop no other test may meet."""
    from tests.browser import started_browser

    with started_browser() as started:
        yield started


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Return what opens a file in Chromium with the network off (`tests.browser.opened`)."""
    from tests.browser import opened

    with ExitStack() as stack:
        yield lambda path, **options: stack.enter_context(opened(browser, path, **options))
