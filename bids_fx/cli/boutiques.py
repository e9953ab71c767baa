"""The command line as a Boutiques descriptor, for programs that run BIDS Apps."""

from __future__ import annotations

from bids_fx.cli.options import Option
from bids_fx.cli.table import LEVELS, OPTIONS, POSITIONALS
from bids_fx.errors import ExitCode

#: Version of the draft BIDS App execution specification whose identifiers are used.
SPECIFICATION = "0.1.0"

_POSITIONAL_IDS = ("InputDataset", "OutputLocation", "AnalysisLevel")
#: Identifiers that the specification reserves.
_RESERVED_IDS = {
    "--participant-label": "SubjectLabel",
    "--session-label": "SessionLabel",
    "--task-id": "TaskLabel",
    "--run-id": "RunIndex",
}
_ERRORS = {
    ExitCode.FAILED: "something failed; the reports say what",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.INVALID_BIDS: "the input is no valid BIDS dataset",
    ExitCode.UNKNOWN_LEVEL: "there is no such level of analysis",
    ExitCode.NOTHING_SELECTED: "the filters select nothing",
    ExitCode.BAD_DATA: "the input data are wrong",
    ExitCode.MISSING_INPUT: "an input is missing",
    ExitCode.CANNOT_CREATE: "the output cannot be created",
    ExitCode.WRITE_FAILED: "writing failed",
    ExitCode.HUNG_UP: "ended by the end of its terminal",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.TERMINATED: "terminated",
}


def descriptor(version: str, description: str) -> dict[str, object]:
    """Return the descriptor of the command line.

    Parameters
    ----------
    version, description : str
        Of the program.

    Notes
    -----
    Defaults stand in the descriptions alone: other programs write a ``default-value`` out, and
    what is written out contradicts other options. Schema 0.5 of Boutiques cannot repeat a flag,
    so that one contrast can be given this way.
    """
    inputs: list[dict[str, object]] = [
        {
            "id": identifier,
            "name": name,
            "description": text,
            "type": "String" if name == "LEVEL" else "File",
            "value-key": f"[{identifier}]",
            "optional": False,
            **({"value-choices": list(LEVELS)} if name == "LEVEL" else {}),
        }
        for identifier, (name, text) in zip(_POSITIONAL_IDS, POSITIONALS, strict=True)
    ]
    inputs += [_input(option) for option in OPTIONS]
    inputs += [
        _flag("Help", "--help", "show the help and exit"),
        _flag("ToolVersion", "--version", "print the version and exit"),
    ]
    return {
        "name": "bids_fx",
        "description": description,
        "tool-version": version,
        "schema-version": "0.5",
        "command-line": " ".join(["bids_fx", *(str(item["value-key"]) for item in inputs)]),
        "inputs": inputs,
        "output-files": [
            {
                "id": "Results",
                "name": "Results",
                "description": "BIDS derivatives, and a report for each participant",
                "path-template": "[OutputLocation]",
                "optional": True,
            }
        ],
        "error-codes": [
            {"code": int(code), "description": text} for code, text in _ERRORS.items()
        ],
        "custom": {"BIDSApplicationVersion": SPECIFICATION, "BIDSAppSpecVersion": SPECIFICATION},
    }


def _input(option: Option) -> dict[str, object]:
    """Return the entry of an option."""
    identifier = _RESERVED_IDS.get(option.name) or "".join(
        word.capitalize() for word in option.key.split("-")
    )
    if option.kind in ("flag", "count"):
        return _flag(identifier, option.name, option.help)
    entry: dict[str, object] = {
        "id": identifier,
        "name": option.key.replace("-", " ").capitalize(),
        "description": option.description,
        "type": option.value_type,
        "value-key": f"[{identifier}]",
        "command-line-flag": option.name,
        "optional": True,
    }
    if option.kind == "list":
        entry["list"] = True
    if option.kind in ("each", "maybe"):
        entry["command-line-flag-separator"] = "="
    if option.choices:
        entry["value-choices"] = list(option.choices)
    return entry


def _flag(identifier: str, name: str, text: str) -> dict[str, object]:
    """Return the entry of an option without a value."""
    return {
        "id": identifier,
        "name": name.lstrip("-").replace("-", " ").capitalize(),
        "description": text,
        "type": "Flag",
        "value-key": f"[{identifier}]",
        "command-line-flag": name,
        "optional": True,
    }
