"""The templates of pages, filled."""

from __future__ import annotations

from collections.abc import Sequence

from bids_fx.reports.scripts import inline_scripts
from bids_fx.reports.wording import number


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
    import jinja2

    loader = jinja2.PackageLoader("bids_fx", "data")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    source, *_ = loader.get_source(environment, script)
    scripts = inline_scripts([source, *further], held=held)
    return environment.get_template(template).render(page=page, scripts=scripts)
