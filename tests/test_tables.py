"""What a table is written as: for programs, for readers, and for the report."""

import re
from pathlib import Path

import pandas as pd

from feature_collapse.workflow import artifacts, tables


def test_a_table_is_a_page_of_its_own_that_runs_nothing(tmp_path: Path) -> None:
    markdown = "# Claims\n\n| a | u_kl |\n|:--|:--|\n| 1 | ≤ 2 |\n\n<script>alert(1)</script>\n"
    rows = pd.DataFrame({"a": [1], "u_kl": ["≤ 2"]})
    tables.write_table(tmp_path / "claims", rows, markdown)
    assert artifacts.read_csv(tmp_path / "claims.csv").equals(rows)
    assert (tmp_path / "claims.md").read_text(encoding="utf-8") == markdown
    page = (tmp_path / "claims.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and '<meta charset="utf-8">' in page
    assert "<title>claims</title>" in page
    assert re.findall(r"<t[hd][^>]*>([^<]+)</t[hd]>", page) == ["a", "u_kl", "1", "≤ 2"]
    assert "<script" not in page and not re.search("(src|href)=", page)
