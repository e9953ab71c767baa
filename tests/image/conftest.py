"""The image that ``make test-image`` has built."""

from __future__ import annotations

import os

import pytest

from tests.containers import Image


@pytest.fixture(scope="session")
def image() -> Image:
    names = ("ENGINE", "IMAGE", "ENGINE_HOME")
    missing = [name for name in names if name not in os.environ]
    assert not missing, f"{', '.join(missing)}: these tests are run by make test-image"
    engine, name, home = (os.environ[name] for name in names)
    return Image(engine=engine, name=name, home=home)
