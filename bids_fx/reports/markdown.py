"""The methods text as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CITATION = re.compile(r"\[(@[\w:.-]+(?:; ?@[\w:.-]+)*)\]")


def methods_html(
    markdown: str, references: Sequence[tuple[str, str]], *, prefix: str = "", level: int = 3
) -> str:
    """Return the methods text and its references as HTML.

    Parameters
    ----------
    markdown : str
        CommonMark with pandoc's citations. HTML in it is shown, not obeyed; links and images are
        shown as their source, since the page loads nothing and leads nowhere.
    references : sequence of (str, str)
        Key and formatted reference, in the order of their numbers.
    prefix : str
        With which all ids begin, so that a page can hold several texts.
    level : int
        Level of the headings that are the text's first; 2 to 6.

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
        links = (f'<a href="#{prefix}ref-{numbers[key]}">{numbers[key]}</a>' for key in keys)
        return f"[{', '.join(links)}]"

    def lower(match: re.Match[str]) -> str:
        return f"<{match[1]}h{min(int(match[2]) + level - 1, 6)}>"

    text = re.sub(r"<(/?)h([1-6])>", lower, parser.render(markdown))
    html = _CITATION.sub(cite, text)
    if not references:
        return html
    items = "\n".join(
        f'<li id="{prefix}ref-{number}">{escape(text)}</li>'
        for number, (_, text) in enumerate(references, start=1)
    )
    heading = f'<h{level} id="{prefix}references">References</h{level}>'
    return f'{html}{heading}\n<ol class="references">\n{items}\n</ol>'
