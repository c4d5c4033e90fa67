import pandas as pd

from vidpop_pipelines.evaluation.report import html_report, markdown_report

TABLE = pd.DataFrame({"name": ["a|b", None], "small": [0.123456, float("nan")], "large": [12345.6, 1.0]})


def test_markdown_has_a_line_per_row_and_escapes_its_separator():
    lines = markdown_report("Title", ["A note."], {"Numbers": TABLE}).splitlines()
    assert lines[:5] == ["# Title", "", "A note.", "", "## Numbers"]
    assert lines[6:] == [
        "| name | small | large |",
        "| --- | ---: | ---: |",
        "| a\\|b | 0.1235 | 12,346 |",
        "| – | – | 1.0000 |",
    ]


def test_html_escapes_texts():
    page = html_report("<Title>", ["a < b"], {"x & y": TABLE}, [])
    assert "&lt;Title&gt;" in page and "a &lt; b" in page and "x &amp; y" in page
