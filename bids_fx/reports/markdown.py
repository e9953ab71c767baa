"""The methods text as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CITATION = re.compile(r"\[(@[\w:.-]+(?:; ?@[\w:.-]+)*)\]")


def methods_html(markdown: str, references: Sequence[tuple[str, str]]) -> str:
    """Return the methods text and its references as HTML.

    Parameters
    ----------
    markdown : str
        CommonMark with pandoc's citations. HTML in it is shown, not obeyed; links and images are
        shown as their source, since the page loads nothing and leads nowhere.
    references : sequence of (str, str)
        Key and formatted reference, in the order of their numbers.

    Returns
    -------
    str
        Safe HTML: citations are numbers that lead to the list at the end.

    Examples
    --------
    >>> print(methods_html("As in [@a]; *not* <b>so</b>.", [("a", "A & B (1990).")]))
    <p>As in [<a href="#ref-1">1</a>]; <em>not</em> &lt;b&gt;so&lt;/b&gt;.</p>
    <h3 id="references">References</h3>
    <ol class="references">
    <li id="ref-1">A &amp; B (1990).</li>
    </ol>
    """
    from html import escape

    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False})
    parser.disable(["link", "image", "autolink", "reference"])
    numbers = {key: number for number, (key, _) in enumerate(references, start=1)}

    def cite(match: re.Match[str]) -> str:
        keys = [key.strip().removeprefix("@") for key in match[1].split(";")]
        if not numbers.keys() >= set(keys):
            return match[0]
        links = (f'<a href="#ref-{numbers[key]}">{numbers[key]}</a>' for key in keys)
        return f"[{', '.join(links)}]"

    # One level down each: the page has its own first and second headings.
    text = re.sub(r"<(/?)h([1-4])>", _lower_heading, parser.render(markdown))
    html = _CITATION.sub(cite, text)
    if not references:
        return html
    items = "\n".join(
        f'<li id="ref-{number}">{escape(text)}</li>'
        for number, (_, text) in enumerate(references, start=1)
    )
    heading = '<h3 id="references">References</h3>'
    return f'{html}{heading}\n<ol class="references">\n{items}\n</ol>'


def _lower_heading(match: re.Match[str]) -> str:
    """Return a heading's tag two levels lower."""
    return f"<{match[1]}h{int(match[2]) + 2}>"
