"""The program that says what a BIDS Stats Model does."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bids_fx import __version__
from bids_fx.cli.interruption import Interruption
from bids_fx.cli.program import run_program
from bids_fx.cli.streams import show_text
from bids_fx.errors import BIDSFXError, ExitCode, Problem

DESCRIPTION = """\
Say in plain words what BIDS Stats Models do: which runs, which regressors, what each contrast is,
what is combined over what; what was assumed; and what other programs would ignore in them."""
EPILOG = """\
exit codes: 0 the files are sound; 65 something in one of them is wrong; 66 a file is not there.
What is wrong is listed on standard error."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments without the program's name; None means those of this process.

    Returns
    -------
    int
        The exit code, see `bids_fx.errors.ExitCode`.
    """
    return run_program("bids_fx-model", _work, argv)


def _work(words: list[str], _: Interruption) -> ExitCode:
    """Say what was asked for.

    Raises
    ------
    BIDSFXError
        With all that is wrong with the files, when the others have been told.
    """
    parser = _parser()
    arguments = parser.parse_args(words)
    if arguments.upgrade and len(arguments.files) > 1:
        parser.error("--upgrade takes one FILE")
    texts: list[str] = []
    problems: list[Problem] = []
    for path in arguments.files:
        text, found = _result(path, is_upgrade=arguments.upgrade)
        texts += [text] if text is not None else []
        problems += found
    show_text("\n".join(texts))
    if problems:
        raise BIDSFXError(problems)
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bids_fx-model",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="+", type=_path, help="model file (model-<label>_smdl.json)"
    )
    parser.add_argument(
        "--upgrade",
        action="store_true",
        help="print the model in the present form and spelling of the specification instead, for "
        "files of the old form (Steps) or with loose spelling",
    )
    parser.add_argument("--version", action="version", version=f"bids_fx {__version__}")
    return parser


def _path(text: str) -> Path:
    from bids_fx.cli.values import to_path
    from bids_fx.values import BadValueError

    try:
        return to_path(text)
    except BadValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _result(path: Path, *, is_upgrade: bool) -> tuple[str | None, tuple[Problem, ...]]:
    """Return what is to be said of a model file, or what is wrong with it."""
    from bids_fx.stats_models.analysis import analyse
    from bids_fx.stats_models.explain import explain
    from bids_fx.stats_models.read import read_model
    from bids_fx.stats_models.write import model_json

    model, problems, notices = read_model(path)
    if model is None:
        return None, problems
    if is_upgrade:
        return model_json(model), ()
    analysis = analyse(model, path.name)
    return None if analysis.problems else explain(analysis, notices), analysis.problems
