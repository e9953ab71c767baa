"""Records as plain values that JSON can hold, and back."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bids_fx.entities import Entities, parse_name

T = TypeVar("T")


class PlainError(ValueError):
    """Plain values that are not those of the record."""


def to_plain(value: object) -> object:
    """Return a record as plain values.

    Parameters
    ----------
    value : object
        A dataclass of dataclasses, entities, paths, tuples, mappings by text or path, texts,
        numbers, truth values and None. What is as it would be by default is left out.

    Returns
    -------
    object
        Of dicts, lists, texts, finite numbers, truth values and None; a number that is not
        finite is a text.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> from bids_fx.errors import Notice
    >>> to_plain((Notice(text="so"), Notice(text="so?", warning=False), math.inf))
    [{'text': 'so'}, {'text': 'so?', 'warning': False}, 'inf']
    """
    if isinstance(value, Entities | Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        own = {field: to_plain(getattr(value, field.name)) for field in fields(value)}
        return {field.name: plain for field, plain in own.items() if plain != _default(field)}
    if isinstance(value, tuple | list | frozenset):
        return [to_plain(item) for item in (sorted(value) if _is_set(value) else value)]
    if isinstance(value, Mapping):
        return {_text(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value.value if isinstance(value, IntEnum) else value
    raise TypeError(f"{type(value).__name__} is no plain value")


def from_plain(kind: type[T], plain: object) -> T:
    """Return the record that `to_plain` took apart.

    Parameters
    ----------
    kind : type
        The record's class.
    plain : object
        What `to_plain` returned of it.

    Raises
    ------
    PlainError
        Where it is not what this version's `to_plain` returns.

    Examples
    --------
    >>> from bids_fx.errors import Notice
    >>> from_plain(Notice, {"text": "so"})
    Notice(text='so', warning=True, participant=None)
    """
    value: T = _read(kind, plain)
    return value


def _is_set(value: object) -> bool:
    return isinstance(value, frozenset)


def _text(key: object) -> str:
    if not isinstance(key, str | Path):
        raise TypeError(f"{key!r} is no text")
    return str(key)


def _default(field: Field[Any]) -> object:
    """Return the default of a field as plain values; `MISSING` where there is none."""
    if field.default is not MISSING:
        return to_plain(field.default)
    return MISSING if field.default_factory is MISSING else to_plain(field.default_factory())


def _read(kind: Any, plain: Any) -> Any:
    """Return a value of a declared kind."""
    origin = get_origin(kind)
    if kind is Entities:
        return parse_name(f"{_as(str, plain)}_bold").entities
    if kind is Path:
        return Path(_as(str, plain))
    if is_dataclass(kind):
        return _read_record(kind, plain)
    if origin in (Union, types.UnionType):
        return _read_one_of(get_args(kind), plain)
    if origin is Literal:
        return _one_of(get_args(kind), plain)
    read = _CONTAINERS.get(origin)
    if read is not None:
        return read(get_args(kind), plain)
    if kind is float:
        return _number(plain)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        codes = {int(code): code for code in kind}
        _one_of(tuple(codes), plain)
        return codes[_as(int, plain)]
    return _as(type(None) if kind is None else kind, plain)


def _read_record(kind: Any, plain: object) -> object:
    """Return a dataclass; a field that it does not have is an error."""
    hints = _hints(kind)
    values = _as(dict, plain)
    if unknown := values.keys() - hints.keys():
        raise PlainError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    own = {name: _read(hints[name], value) for name, value in values.items()}
    try:
        return kind(**own)
    except TypeError as error:
        raise PlainError(str(error)) from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _read_one_of(kinds: tuple[Any, ...], plain: object) -> object:
    """Return a value of the first kind that it can be."""
    for kind in kinds:
        try:
            return _read(kind, plain)
        except PlainError:
            continue
    raise PlainError(f"{plain!r:.60} is none of {kinds}")


def _one_of(choices: tuple[object, ...], plain: object) -> object:
    if plain not in choices:
        raise PlainError(f"{plain!r:.60} is none of {choices}")
    return plain


def _read_tuple(kinds: tuple[Any, ...], plain: object) -> tuple[object, ...]:
    items = _as(list, plain)
    if kinds[-1] is Ellipsis:
        return tuple(_read(kinds[0], item) for item in items)
    if len(items) != len(kinds):
        raise PlainError(f"{len(items)} values in place of {len(kinds)}")
    return tuple(_read(kind, item) for kind, item in zip(kinds, items, strict=True))


def _read_mapping(kinds: tuple[Any, ...], plain: object) -> dict[object, object]:
    return {_read(kinds[0], key): _read(kinds[1], own) for key, own in _as(dict, plain).items()}


def _number(plain: object) -> float:
    if isinstance(plain, str):
        try:
            return float(plain)
        except ValueError as error:
            raise PlainError(str(error)) from error
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise PlainError(f"{plain!r:.60} is no number")
    return float(plain)


def _as(kind: type[T], plain: object) -> T:
    """Return a value that is of a kind already; a truth value is no number."""
    if not isinstance(plain, kind) or (isinstance(plain, bool) and kind is not bool):
        raise PlainError(f"{plain!r:.60} is no {kind.__name__}")
    return plain


_CONTAINERS: dict[Any, Callable[[tuple[Any, ...], object], object]] = {
    tuple: _read_tuple,
    frozenset: lambda kinds, plain: frozenset(_read_tuple((*kinds, Ellipsis), plain)),
    dict: _read_mapping,
    Mapping: _read_mapping,
}
