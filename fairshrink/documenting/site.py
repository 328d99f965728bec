"""Hooks of the documentation site (mkdocs.yml): links that lead out of docs/, and pages of the top level."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

TOP_LEVEL = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files next to docs/ that the site shows, with their names there."""
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the top level."""
    from mkdocs.structure.files import File

    for source, name in TOP_LEVEL.items():
        text = (Path(config.config_file_path).parent / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages of the site; what is not on the site keeps its text alone."""
    return site_links(markdown, "" if page.file.src_uri in TOP_LEVEL.values() else "docs")


def site_links(markdown: str, folder: str) -> str:
    """Rewrite the relative links of a page that is in this folder of the repository ("" for the top level)."""

    def rewritten(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = posixpath.normpath(posixpath.join(folder, target))
        if path in TOP_LEVEL:
            return f"[{text}]({TOP_LEVEL[path]}{anchor})"
        return f"[{text}]({path.removeprefix('docs/')}{anchor})" if path.startswith("docs/") else text

    return _LINK.sub(rewritten, markdown)
