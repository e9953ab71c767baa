"""Methods text as HTML: citations become numbers, nothing else becomes a link."""

from __future__ import annotations

import pytest

from bids_fx.reports.markdown import methods_html

REFERENCES = [("b2000", "B (2000)."), ("a1999", "A (1999).")]


def test_citations_are_numbered_in_the_order_of_the_references() -> None:
    html = methods_html("So [@a1999; @b2000].", REFERENCES)
    assert '[<a href="#ref-2">2</a>, <a href="#ref-1">1</a>]' in html
    assert '<li id="ref-1">B (2000).</li>\n<li id="ref-2">A (1999).</li>' in html


def test_citation_of_an_unknown_key_stays_as_it_is() -> None:
    assert "<p>So [@c].</p>" in methods_html("So [@c].", REFERENCES)


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "<img src=x onerror=y>",
        "[a](https://example.org)",
        "![a](https://example.org/a.png)",
        "<https://example.org>",
        "[a]: https://example.org\n\n[a]",
    ],
)
def test_markup_from_the_data_is_shown_and_not_obeyed(text: str) -> None:
    html = methods_html(text, ())
    assert not any(tag in html for tag in ("<script", "<img", "<a "))
    assert "example.org" in html or "x" in html


def test_headings_stay_below_those_of_the_page() -> None:
    assert methods_html("# Title", ()) == "<h3>Title</h3>\n"


def test_several_texts_on_a_page_have_ids_and_headings_of_their_own() -> None:
    html = methods_html("# Title\n\nSo [@a1999].", REFERENCES, prefix="second-", level=4)
    assert html.startswith("<h4>Title</h4>")
    assert '[<a href="#second-ref-2">2</a>]' in html
    assert '<h4 id="second-references">' in html
    assert '<li id="second-ref-1">' in html
