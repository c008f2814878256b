"""The pages in `docs`: what they link to is there, and their figures can be drawn again."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from coopgym.cli import main

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


def test_the_page_on_own_algorithms_works_as_it_is_written(tmp_path, monkeypatch):
    page = (DOCS / "your-own-algorithm.md").read_text(encoding="utf-8")
    file, python = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^coopgym (train .*)$", page, re.MULTILINE)
    assert len(file.splitlines()) <= 60 and len(commands) == 4
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("shares.py").write_text(file, encoding="utf-8")
    *spread, table = commands
    for command in spread:
        short = command.replace("--env-steps 2000000", "--env-steps 800 --evaluation-episodes 1")
        assert short != command and main(short.split()) == 0
    assert {path.name for path in Path("runs").iterdir()} == {"shares-0", "shares-1", "shares-2"}
    names = {}
    exec(compile(python, "page", "exec"), names)
    sys.modules.pop("shares")
    assert names["run"].learner.name == "shares" and names["run"].rows[-1]["env_steps"] >= 4000
    assert main([*table.split(), "--out", "table"]) == 0
    last = (tmp_path / "table" / "metrics.csv").read_text().splitlines()[-1].split(",")
    assert float(last[4]) in (0.0, 6.0), "a monotone mixer cannot find 8"


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
