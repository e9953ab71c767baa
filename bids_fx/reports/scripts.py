"""The scripts of a page: those that it holds may run, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: What a page may load: pictures and styles that it holds itself.
_POLICY = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "img-src": "data:",
    "style-src": "'unsafe-inline'",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineScripts:
    """What a page needs to hold its scripts.

    Parameters
    ----------
    policy : str
        Content of its ``Content-Security-Policy``.
    tags : str
        HTML: a ``script`` element for each.
    """

    policy: str
    tags: str


def inline_scripts(
    scripts: Sequence[str],
    directives: Mapping[str, str] | None = None,
    *,
    held: Sequence[str] = (),
) -> InlineScripts:
    """Return the elements of scripts, and a policy that lets these alone run.

    Parameters
    ----------
    scripts : sequence of str
        JavaScript, in the order in which it runs; never made of anything from the data.
    directives : mapping of str to str, optional
        What else the policy allows, such as ``worker-src``: in place of or beside the page's own.
    held : sequence of str
        JavaScript that its scripts may start, out of what the page holds: no element is made.

    Raises
    ------
    ValueError
        For a script that would end its element or begin a comment.

    Examples
    --------
    >>> made = inline_scripts(["let x = 1"])
    >>> print(made.tags)
    <script>let x = 1</script>
    >>> made.policy.partition("script-src ")[2]
    "'sha256-+9RIDzvx0TGl4PMcwUdjIf3oi5QYiuHS1C+f52uNBBc='"
    """
    for script in scripts:
        if any(mark in script.casefold() for mark in ("</script", "<script", "<!--", "\r")):
            raise ValueError(
                "a script holds what HTML takes for its end, a comment or another line end"
            )
    policy = _POLICY | dict(directives or {})
    if scripts:
        policy["script-src"] = " ".join([_source(script) for script in (*scripts, *held)])
    return InlineScripts(
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        tags="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _source(script: str) -> str:
    """Return the hash by which a policy names a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
