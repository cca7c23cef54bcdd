"""What the course's pages share in Markdown."""

from markdown_it import MarkdownIt

from lib.markdown import slug, table


def test_the_anchor_of_a_heading_keeps_all_but_its_spaces():
    assert slug(" 2 Some heading: here ") == "2-Some-heading:-here"


def test_a_table_keeps_the_bars_and_loses_the_line_breaks_of_its_cells():
    text = table(["a", "b"], [["x | y", "one\ntwo"], ["`m | n`", ""]])
    assert text.splitlines()[:2] == ["| a | b |", "|---|---|"]
    html = MarkdownIt().enable("table").render(text)
    cells = [line.strip() for line in html.splitlines() if "<td>" in line]
    assert cells == [
        "<td>x | y</td>",
        "<td>one two</td>",
        "<td><code>m | n</code></td>",
        "<td></td>",
    ]
