"""The templates of pages, filled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from bids_fx.reports.scripts import inline_scripts
from bids_fx.reports.wording import number

if TYPE_CHECKING:
    from jinja2 import Environment


def render(
    template: str,
    script: str,
    page: object,
    *,
    further: Sequence[str] = (),
    held: Sequence[str] = (),
) -> str:
    """Fill a template.

    Parameters
    ----------
    template, script : str
        Names of the template and of the page's script, in the package's ``data``.
    page : object
        What the page shows. All of it is escaped but what the template calls safe, whose makers
        did it.
    further, held : sequence of str
        More JavaScript that runs after the page's, and such that scripts may start.
    """
    environment = _environment()
    assert environment.loader is not None
    source, *_ = environment.loader.get_source(environment, script)
    scripts = inline_scripts([source, *further], held=held)
    return environment.get_template(template).render(page=page, scripts=scripts)


@cache
def _environment() -> Environment:
    """Return what compiles each template once, though every participant has a page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bids_fx", "data"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment
