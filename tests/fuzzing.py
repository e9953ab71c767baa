"""What the fuzz tests share: how many cases of what kind, and what may come out of a reader.

`make test` tries the same few cases each time; `make soak` tries many that nobody has seen, of a
seed that a failure names (``FUZZ_SEED=... make soak`` has them again).
"""

from __future__ import annotations

import copy
import functools
import json
import os
import random
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from bids_fx.errors import BIDSFXError, ExitCode, Notice, Problem, visible
from tests.soak import SOAK, many

SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
#: Seconds after which a reader hangs; the slowest take a hundredth.
PATIENCE_S = 60

settings.register_profile(
    "fuzz",
    deadline=None,
    database=None,
    derandomize=not SOAK,
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)

Test = Callable[..., None]


def fuzz(
    usual: int, *, soak: int, is_slow: bool = False, **strategies: st.SearchStrategy[Any]
) -> Callable[[Test], Test]:
    """Have a test tried with many cases, and counted; examples stand above it.

    Parameters
    ----------
    usual, soak : int
        Number of cases in `make test` and in `make soak`.
    is_slow : bool
        Whether a case takes so long that one that fails is told as it is, not made smaller.
    **strategies : SearchStrategy
        Of the test's arguments; those that it has besides are fixtures.
    """
    wanted = many(usual, soak=soak)
    phases = (Phase.explicit, Phase.generate, *(() if is_slow else (Phase.shrink,)))

    def decorate(test: Test) -> Test:
        n_tried = 0

        @functools.wraps(test)
        def tried(*arguments: Any, **values: Any) -> None:
            nonlocal n_tried
            n_tried += 1
            if SOAK:
                hypothesis.note(f"FUZZ_SEED={SEED}")
            with in_time():
                test(*arguments, **values)

        given = hypothesis.given(**strategies)(tried)
        given = settings(settings.get_profile("fuzz"), max_examples=wanted, phases=phases)(given)
        if SOAK:
            given = hypothesis.seed(SEED)(given)

        @functools.wraps(given)
        def counted(*arguments: Any, **values: Any) -> None:
            nonlocal n_tried
            n_tried = 0
            given(*arguments, **values)
            assert n_tried >= wanted, f"{n_tried} of {wanted} cases were tried"

        counted.cases_in_soak = soak
        return counted

    return decorate


@contextmanager
def in_time(seconds: float = PATIENCE_S) -> Iterator[None]:
    """Fail where something takes longer than anybody waits."""

    late: list[AssertionError] = []

    def end(*_: object) -> None:
        late.append(AssertionError(f"not done after {seconds} s"))
        raise late[0]

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if late:  # and it was caught, as errors of a participant are
        raise late[0]


@contextmanager
def only_our_errors() -> Iterator[None]:
    """Let errors pass that are told as problems, each well-formed; all others fail the test."""
    try:
        yield
    except BIDSFXError as error:
        check_problems(error.problems)


def check_problems(problems: Iterable[Problem]) -> None:
    """Check that each problem says in one line where it is, what was found and what to do."""
    for problem in problems:
        for text in (problem.where, problem.found, problem.remedy):
            check_text(text)
            assert len(text) <= 4000, text[:200]
        assert isinstance(problem.code, ExitCode)


def check_notices(notices: Iterable[Notice]) -> None:
    """Check that each notice is one line."""
    for notice in notices:
        check_text(notice.text)


def check_text(text: str) -> None:
    """Check that a text for people says something, and is one line where it is shown."""
    assert text.strip()
    shown = visible(text)
    assert len(shown.splitlines()) == 1, text
    shown.encode()


#: What has broken readers of texts: signs of other formats, numbers at their limits, odd letters.
TOKENS = (
    *("", " ", "\t", "\n", "\r", "\0", "\x1b[31m", "\x85", "\u2028", "\ufeff", "\ud800", "é", "ß"),
    *(
        "\U0001d7d9",
        "²",
        "٣",
        "İ",
        "0",
        "-0",
        "1",
        "-1",
        "1e400",
        "-1e400",
        "1e-400",
        "1e308",
        "9" * 30,
    ),
    *("9" * 5000, "0x10", "1_000", "1,5", "nan", "NaN", "inf", "-inf", "n/a", "None", "null"),
    *(
        "true",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        '"',
        "'",
        "`",
        "\\",
        "\\u0000",
        "/",
        "..",
        "../x",
        "~",
    ),
    *("$HOME", "%s", "{0}", "<b>", "&", "*", "?", "[a-", "-", "--", "-x", "=", ":", ";", "#", "@"),
    *("sub-01", "_", "run-01", "task-", "face", "house", "x" * 300),
)
TEXTS = st.one_of(
    st.sampled_from(TOKENS),
    st.text(max_size=12),
    st.lists(st.sampled_from(TOKENS[:-1]), min_size=2, max_size=4).map("".join),
)
_INTEGERS = st.sampled_from((0, 1, -1, 2, 3, 7, 2**31, 2**63, -(2**63), 2**64, 10**30, 10**400))
_FLOATS = st.sampled_from((0.0, -0.0, 0.5, 1.5, -2.5, 1e-320, 1e308, -1e308, 1e22))
SCALARS = st.one_of(
    st.none(), st.booleans(), _INTEGERS, _FLOATS, st.floats(allow_nan=False), TEXTS, st.integers()
)
#: Any value that JSON can hold.
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=6,
)


def json_text(value: object) -> str:
    """Return JSON; of numbers that are not finite as Python writes them."""
    return json.dumps(value)


@st.composite
def changed_json(draw: st.DrawFn, valid: Any, keys: Sequence[str] = ()) -> Any:
    """Return a valid value of JSON in which up to three parts are something else.

    Parameters
    ----------
    draw : callable
        Hypothesis' own.
    valid : object
        What is changed; it stays as it is.
    keys : sequence of str
        Keys that mean something, to be added anywhere.
    """
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return draw(JSON)
        holder, key = draw(st.sampled_from(places))
        _change(draw, holder, key, places, keys)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Iterate over each part of a value of JSON, as what holds it and its key there."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def _change(
    draw: st.DrawFn, holder: Any, key: Any, places: Sequence[tuple[Any, Any]], keys: Sequence[str]
) -> None:
    """Change a part of a value of JSON."""
    kind = draw(st.sampled_from(("any", "near", "other", "gone", "twice", "key", "known", "in")))
    if kind == "any":
        holder[key] = draw(JSON)
    elif kind == "near":
        holder[key] = draw(_near(holder[key]))
    elif kind == "other":
        other, its = draw(st.sampled_from(places))
        if its in other if isinstance(other, dict) else its < len(other):
            holder[key] = copy.deepcopy(other[its])
    elif kind == "gone":
        del holder[key]
    elif kind == "in":
        holder[key] = [holder[key]] if draw(st.booleans()) else {"x": holder[key]}
    elif isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif kind == "known" and keys:
        holder[draw(st.sampled_from(keys))] = draw(JSON)
    elif kind in ("key", "known"):
        name = draw(TEXTS | st.sampled_from((str(key).upper(), str(key).lower(), f"{key}_")))
        holder[name] = holder.pop(key)
    else:
        holder[f"{key} "] = copy.deepcopy(holder[key])


def _near(value: Any) -> st.SearchStrategy[Any]:
    """Return values of the same kind."""
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, str):
        return TEXTS | TEXTS.map(lambda text: value + text) | st.integers(0, 3).map(value.__mul__)
    if isinstance(value, int | float):
        return _INTEGERS | _FLOATS | st.integers(-3, 3).map(lambda more: value + more)
    if isinstance(value, list):
        return st.sampled_from((value[::-1], value[:-1], value * 2, []))
    return st.just({})


@st.composite
def changed_bytes(draw: st.DrawFn, valid: bytes, tokens: Sequence[bytes] = ()) -> bytes:
    """Return a file's bytes with some flipped, cut out, doubled or put in."""
    data = bytearray(valid)
    tokens = tokens or tuple(token.encode(errors="surrogatepass") for token in TOKENS)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(("bit", "byte", "cut", "out", "in", "twice")))
        length = draw(st.sampled_from((1, 1, 2, 4, 16, 64)))
        if kind == "bit" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "out":
            del data[at : at + length]
        elif kind == "in":
            data[at:at] = draw(st.sampled_from(tokens))
        elif kind == "twice":
            data[at:at] = data[at : at + length]
    return bytes(data)


CELLS = TEXTS.map(lambda text: re.sub("[\t\n\r]", "", text))


@st.composite
def changed_table(draw: st.DrawFn, valid: str, cells: st.SearchStrategy[str] = CELLS) -> str:
    """Return a table in which cells, rows or columns are others, gone, doubled or out of order."""
    rows = [line.split("\t") for line in valid.rstrip("\n").split("\n")]
    end = draw(st.sampled_from(("\n", "\n", "\n", "\r\n", "\r")))
    for _ in range(draw(st.integers(1, 4))):
        if not rows:
            break
        row = draw(st.integers(0, len(rows) - 1))
        column = draw(st.integers(0, max(0, len(rows[row]) - 1)))
        _change_table(draw, rows, row, column, cells)
    return end.join("\t".join(row) for row in rows) + draw(st.sampled_from((end, "", end * 3)))


def _change_table(
    draw: st.DrawFn,
    rows: list[list[str]],
    row: int,
    column: int,
    cells: st.SearchStrategy[str],
) -> None:
    """Change a table at a cell."""
    kind = draw(st.sampled_from(("cell", "cell", "head", "row", "gone", "column", "cut", "up")))
    if kind in ("cell", "cut") and not rows[row]:
        return
    if kind == "cell":
        rows[row][column] = draw(cells)
    elif kind == "head" and column < len(rows[0]):
        rows[0][column] = draw(cells | st.sampled_from(rows[0]))
    elif kind == "row":
        rows.insert(row, list(rows[row]))
    elif kind == "gone":
        del rows[row]
    elif kind == "column":
        rows[:] = [cells[:column] + cells[column + 1 :] for cells in rows]
    elif kind == "cut":
        del rows[row][column:]
    elif kind == "up" and row:
        rows[row - 1], rows[row] = rows[row], rows[row - 1]


def keys_of(value: Any) -> list[str]:
    """Return every key that stands somewhere in a value of JSON, sorted."""
    if isinstance(value, Mapping):
        return sorted({*value, *(key for inner in value.values() for key in keys_of(inner))})
    if isinstance(value, list):
        return sorted({key for inner in value for key in keys_of(inner)})
    return []
