"""What the report shows of a table and of the moving picture."""

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from feature_collapse.workflow import pages
from feature_collapse.workflow.artifacts import ArtifactError


def test_a_table_is_a_page_of_its_own_that_runs_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "claims.md", tmp_path / "claims.html"
    source.write_text(
        "# Claims\n\n| a | u_kl |\n|:--|:--|\n| 1 | ≤ 2 |\n\n<script>alert(1)</script>\n", encoding="utf-8"
    )
    pages.make(source, target)
    page = target.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and '<meta charset="utf-8">' in page
    assert re.findall(r"<t[hd][^>]*>([^<]+)</t[hd]>", page) == ["a", "u_kl", "1", "≤ 2"]
    assert "<script" not in page and not re.search("(src|href)=", page)


def test_a_moving_picture_keeps_its_size_and_its_bytes(tmp_path: Path) -> None:
    gif = io.BytesIO()
    frames = [Image.new("L", (300, 7), level) for level in (0, 255)]
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "collapse.gif").write_bytes(gif.getvalue())
    pages.make(tmp_path / "collapse.gif", tmp_path / "collapse.svg")
    svg = ElementTree.fromstring((tmp_path / "collapse.svg").read_text(encoding="utf-8"))
    assert (svg.get("width"), svg.get("height")) == ("300", "7")
    assert base64.b64decode(svg[0].get("href").partition("base64,")[2]) == gif.getvalue()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"claims\.md: is missing"):
        pages.make(tmp_path / "claims.md", tmp_path / "claims.html")
