"""Tables as files: CSV for programs, Markdown for readers, and the same as an HTML page for the report."""

from pathlib import Path

import pandas as pd
from markdown_it import MarkdownIt

from feature_collapse.workflow import artifacts

STYLE = """
body { font: 14px/1.5 sans-serif; margin: 1.5em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .25em .7em; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
th { position: sticky; top: 0; background: #fff; border-bottom: 2px solid #888; }
"""


def write_table(stem: Path, rows: pd.DataFrame, markdown: str) -> None:
    """Write a table as `stem.csv`, and its page as `stem.md` and `stem.html`."""
    artifacts.write_csv(stem.with_suffix(".csv"), rows)
    body = MarkdownIt("js-default").render(markdown)
    artifacts.write_text(stem.with_suffix(".md"), markdown)
    artifacts.write_text(stem.with_suffix(".html"), page(body, stem.name))


def page(body: str, title: str) -> str:
    """A complete HTML page."""
    head = f'<meta charset="utf-8">\n<title>{title}</title>\n<style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}</body>\n</html>\n'
