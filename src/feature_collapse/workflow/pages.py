"""Tables and the moving picture in forms that the report can show, each whole in one file."""

import base64
import struct
from pathlib import Path

from markdown_it import MarkdownIt

from feature_collapse.workflow import artifacts

STYLE = """
body { font: 14px/1.5 sans-serif; margin: 1.5em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .25em .7em; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
th { position: sticky; top: 0; background: #fff; border-bottom: 2px solid #888; }
"""


def page(body: str, title: str) -> str:
    """A whole HTML page."""
    head = f'<meta charset="utf-8">\n<title>{title}</title>\n<style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}</body>\n</html>\n'


def moving(gif: bytes) -> str:
    """A GIF as an SVG, since the report shows no GIF, and browsers show no page of more than 2 MB inside of it."""
    width, height = struct.unpack("<HH", gif[6:10])
    size, content = f'width="{width}" height="{height}"', base64.b64encode(gif).decode()
    picture = f'<image {size} href="data:image/gif;base64,{content}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{picture}\n</svg>\n'


def make(source: Path, target: Path) -> None:
    """Write a Markdown file as an HTML page, or a GIF as an SVG. Raises ArtifactError if `source` is missing."""
    if not source.exists():
        raise artifacts.ArtifactError(source, "is missing")
    if source.suffix == ".gif":
        content = moving(source.read_bytes())
    else:
        content = page(MarkdownIt("js-default").render(source.read_text(encoding="utf-8")), source.stem)
    with artifacts.atomic(target) as temporary:
        temporary.write_text(content, encoding="utf-8")
