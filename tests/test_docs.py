"""The pages in `docs`: what they link to is there, and their figures can be drawn again."""

import importlib.util
import re
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the pages are in a checkout only")
LINK = re.compile(r'\]\((?P<path>[^)\s]+)(?: "(?P<words>[^"]+)")?\)')


def links() -> list[tuple[str, str, str | None]]:
    found = []
    for page in sorted(DOCS.glob("*.md")) if DOCS.is_dir() else ():
        for match in LINK.finditer(page.read_text(encoding="utf-8")):
            if not match["path"].startswith("http"):
                found.append((page.name, match["path"], match["words"]))
    return found


@pytest.mark.parametrize(("page", "path", "words"), links())
def test_a_link_leads_to_the_lines_that_it_names(page, path, words):
    target = (DOCS / page).parent / path
    assert target.is_file()
    if target.suffix == ".py":
        assert words is not None and target.read_text(encoding="utf-8").count(words) == 1


def test_pages_link_to_equations_and_figures():
    assert {Path(path).suffix for _, path, _ in links()} >= {".py", ".png"} and len(links()) > 10


@pytest.mark.slow
def test_one_command_draws_every_figure_of_the_page(tmp_path):
    spec = importlib.util.spec_from_file_location("figures", DOCS / "figures.py")
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    figures.draw(tmp_path, part=0.02)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {Path(path).name for _, path, _ in links() if path.endswith(".png")}
    for name in drawn:
        with Image.open(tmp_path / name) as image, Image.open(DOCS / "figures" / name) as shipped:
            assert image.size == shipped.size
