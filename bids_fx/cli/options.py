"""What an option is: its names, values, place in the settings and help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

from bids_fx.cli.values import each_once, some_text
from bids_fx.report_settings import ReportSettings
from bids_fx.settings import (
    AnalysisSettings,
    DataSelection,
    ExecutionSettings,
)
from bids_fx.values import Convert

RECORDS = {
    "data": DataSelection,
    "analysis": AnalysisSettings,
    "execution": ExecutionSettings,
    "report": ReportSettings,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of the command line.

    Parameters
    ----------
    names : tuple of str
        All its names; the first long one is the one that messages and config files use.
    group : str
        Heading in the help.
    help : str
        What it does, with units, without its default.
    field : str or None
        ``record.field`` of the settings that it fills; None for what is treated by itself.
    kind : str
        ``flag`` (no value), ``one`` (a value), ``each`` (a value, may be repeated), ``list``
        (values, may be repeated), ``maybe`` (a value or none) or ``count``.
    metavar : str or None
        What stands for the value in the help.
    convert : callable
        Text of one value to the checked value; raises `BadValueError`.
    finish : callable
        All values of a list to the setting; raises `BadValueError`.
    default : str or None
        What happens without it, where the field's own default does not say it.
    value_type : str
        ``String``, ``Number`` or ``File``, for other programs.
    choices : tuple of str
        All values that there are, where they can be listed.
    at_group : bool
        Whether the level ``group`` takes it, be it because chains pass it to both levels.
    """

    names: tuple[str, ...]
    group: str
    help: str
    field: str | None = None
    kind: Literal["flag", "one", "each", "list", "maybe", "count"] = "one"
    metavar: str | None = None
    convert: Convert = some_text
    finish: Callable[[Sequence[Any]], object] = each_once
    default: str | None = None
    value_type: Literal["String", "Number", "File"] = "String"
    choices: tuple[str, ...] = ()
    at_group: bool = False

    @property
    def name(self) -> str:
        """Its main name, as messages show it."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])

    @property
    def key(self) -> str:
        """Its main name in config files."""
        return self.name.lstrip("-")

    @property
    def takes_many(self) -> bool:
        """Whether it may have several values."""
        return self.kind in ("each", "list")

    @property
    def field_default(self) -> object:
        """The default of the setting that it fills; None where there is none."""
        if self.field is None:
            return None
        record, name = self.field.split(".")
        setting = next(item for item in fields(RECORDS[record]) if item.name == name)
        if setting.default is not MISSING:
            return setting.default
        return None if setting.default_factory is MISSING else setting.default_factory()

    @property
    def default_text(self) -> str | None:
        """What holds without the option, as the help shows it."""
        value = self.field_default
        if self.default is not None or value is None or isinstance(value, bool):
            return self.default
        if isinstance(value, tuple):
            return " ".join(map(str, value)) or None
        return f"{value:g}" if isinstance(value, float) else str(value)

    @property
    def description(self) -> str:
        """What it does, and what holds without it."""
        return self.help + (f" (default: {self.default_text})" if self.default_text else "")
