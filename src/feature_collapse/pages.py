"""Tables as pages for a browser, which the report shows: one HTML file beside the table, with nothing outside of it."""

from pathlib import Path

import pandas as pd
from markdown_it import MarkdownIt

from feature_collapse import artifacts

STYLE = """
body { font: 14px/1.5 sans-serif; margin: 1.5em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .25em .7em; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
th { position: sticky; top: 0; background: #fff; border-bottom: 2px solid #888; }
"""


def page(markdown: str, title: str) -> str:
    """Markdown as a whole HTML page."""
    body = MarkdownIt("js-default").render(markdown)
    head = f'<meta charset="utf-8">\n<title>{title}</title>\n<style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}</body>\n</html>\n'


def of_rows(rows: pd.DataFrame) -> str:
    """A table as Markdown: what is the same in every row is said once, above it."""
    constant = [column for column in rows if rows[column].nunique(dropna=False) == 1 and len(rows) > 1]
    settings = ", ".join(f"{column} {_text(rows[column].iloc[0])}" for column in constant)
    shown = rows.drop(columns=constant).map(_text)
    table = shown.to_markdown(index=False, disable_numparse=True)
    return f"{table}\n\nThe same in every row: {settings}.\n" if constant else f"{table}\n"


def _text(value: object) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def make(table: Path) -> None:
    """Write `table`, a CSV or Markdown file, as the HTML file of the same name. Raises ArtifactError if it cannot."""
    if not table.exists():
        raise artifacts.ArtifactError(table, "is missing")
    if table.suffix == ".csv":
        markdown = f"# {table.stem}\n\n{of_rows(artifacts.read_csv(table))}"
    else:
        markdown = table.read_text(encoding="utf-8")
    with artifacts.atomic(table.with_suffix(".html")) as temporary:
        temporary.write_text(page(markdown, table.stem), encoding="utf-8")
