"""The Boutiques descriptor of the command line."""

import pytest

from bids_fx.cli.boutiques import descriptor
from bids_fx.cli.table import OPTIONS
from bids_fx.errors import ExitCode


@pytest.fixture(name="spec")
def descriptor_fixture() -> dict:
    return descriptor("1.0", "A program.")


def test_descriptor_has_the_specifications_identifiers(spec):
    identifiers = [item["id"] for item in spec["inputs"]]
    assert identifiers[:3] == ["InputDataset", "OutputLocation", "AnalysisLevel"]
    assert {"SubjectLabel", "SessionLabel", "TaskLabel", "Help", "ToolVersion"} <= set(identifiers)
    assert len(identifiers) == len(set(identifiers))


def test_descriptor_has_every_option_and_no_other(spec):
    flags = {item.get("command-line-flag") for item in spec["inputs"]} - {None}
    assert flags == {option.name for option in OPTIONS} | {"--help", "--version"}


def test_command_line_of_the_descriptor_has_every_key_once(spec):
    words = spec["command-line"].split()
    assert words[0] == "bids_fx"
    assert words[1:] == [item["value-key"] for item in spec["inputs"]]


def test_descriptor_knows_every_exit_code_but_success(spec):
    codes = {item["code"] for item in spec["error-codes"]}
    assert codes == {int(code) for code in ExitCode} - {0}


def test_descriptor_writes_no_default_out(spec):
    # It would be put on the command line, and contradict --design-dir.
    assert not any("default-value" in item for item in spec["inputs"])
