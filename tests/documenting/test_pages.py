"""Generated pages say what the code says, pages can be reached, links lead somewhere, and the site builds strictly."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from tiny_study import ROOT

from fairshrink import registry
from fairshrink.documenting import cards, gallery, pages
from fairshrink.documenting.site import site_links

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*DOCS, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def targets(page):
    """Relative links of a page, those in its code blocks left out."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", prose)


def anchors(page):
    """What GitHub and the site call the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings]


def test_generated_files_are_up_to_date():
    assert pages.outdated(ROOT / "docs") == [], "run `make docs`"


def test_files_that_are_out_of_date_are_named(tmp_path):
    pages.write(tmp_path)
    assert pages.outdated(tmp_path) == []
    (tmp_path / "study.md").write_text("old")
    (tmp_path / "gallery.md").unlink()
    assert pages.outdated(tmp_path) == ["study.md", "gallery.md"]


@pytest.mark.parametrize("kind", registry.KINDS)
def test_gallery_shows_every_module_with_its_card(kind):
    text = gallery.markdown()
    for name in registry.names(kind):
        (entry,) = re.findall(rf"^#+ `{name}`$(.*?)(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
        card = cards.of(kind, name)
        for part in (card.title, card.prose, *card.fields.values()):
            assert part in entry
        for setting in registry.load(kind, name).Settings.model_fields:
            assert f"| `{setting}` |" in entry


def test_families_of_the_gallery_are_described():
    text = gallery.markdown()
    for name in registry.names("compression"):
        family = registry.modules("compression").family(name)
        heading = f"### {family.replace('_', ' ').capitalize()}\n\n"
        assert text.count(heading) == 1
        assert not text.partition(heading)[2].startswith("#"), f"compression/{family}/__init__.py has no docstring"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in targets(page):
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def test_entries_of_the_gallery_have_anchors_of_their_own():
    found = anchors(ROOT / "docs/gallery.md")
    assert len(set(found)) == len(found) > sum(len(registry.names(kind)) for kind in registry.KINDS)


@pytest.mark.parametrize("start", ["README.md", "docs/index.md"])
def test_every_page_is_linked(start):
    page = ROOT / start
    linked = {(page.parent / target.partition("#")[0]).resolve() for target in targets(page)}
    assert {each.resolve() for each in PAGES} - linked - {page, ROOT / "README.md", ROOT / "docs/index.md"} == set()


def test_every_page_is_in_the_navigation():
    def leaves(entries):
        for entry in entries:
            (value,) = entry.values()
            yield from leaves(value) if isinstance(value, list) else [value]

    nav = list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(nav) == sorted([*(each.name for each in DOCS), "contributing.md", "changelog.md"])


@pytest.mark.parametrize(
    ("folder", "text", "expected"),
    [
        ("docs", "see [a](study.md#top) and [b](../CONTRIBUTING.md)", "see [a](study.md#top) and [b](contributing.md)"),
        ("docs", "[`x.py`](../tests/x.py), [all](../README.md)", "`x.py`, all"),
        ("", "[`[x]`](docs/adding.md), [log](CHANGELOG.md)", "[`[x]`](adding.md), [log](changelog.md)"),
        ("docs", "[far](https://example.org/a), [here](#x), ![](figure.png)", None),
    ],
)
def test_links_of_the_site(folder, text, expected):
    assert site_links(text, folder) == (expected or text)


def test_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in DOCS:
        html = (tmp_path / "site" / f"{page.stem}.html").read_text()
        loaded = re.findall(r"<(?:script|img|link)\b[^>]*?(?:src|href)=\"?([^\" >]+)", html)
        assert loaded
        assert [each for each in loaded if "//" in each] == []
