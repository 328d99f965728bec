"""Text from data, made harmless for where it goes: Markdown, LaTeX, CSV, JSON in a page, figures.

HTML is escaped by jinja2 (`reporting.report.page`), lines of the log by `fairshrink.log`, which is in no key.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of what cannot be seen or changes what is seen around it: controls, directions, surrogates."""
_SPACE = re.compile(r"\s+")
_MARKDOWN = re.compile(
    r"[\\|*`~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:])|(?<!\S)#|^[+=-](?=[\s=-]|$)|(?<=^\d)[.)](?=\s|$)"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of cells that a spreadsheet runs; the last four are the wide forms of the first."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "§": r"\S{}",
    "≈": r"$\approx$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "⟨": r"$\langle$",
    "⟩": r"$\rangle$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "↕": r"$\updownarrow$",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "…": r"\ldots{}",
}
_SPECIAL = re.compile("|".join(re.escape(each) for each in _LATEX))
_LATIN_ENDS = 0x180


def visible(text: str, keep: str = "\n") -> str:
    r"""``text`` with characters that cannot be seen written as Python writes them (``\x1b``), but for those kept."""
    hidden = {each for each in text if unicodedata.category(each) in _HIDDEN and each not in keep}
    return "".join(each.encode("unicode_escape").decode() if each in hidden else each for each in text)


def one_line(text: str) -> str:
    """The same on one line."""
    return visible(_SPACE.sub(" ", text), keep="")


def markdown(text: str) -> str:
    """Text on one line in which nothing is markup: neither Markdown's nor HTML's, nor a formula."""
    escaped = _MARKDOWN.sub(lambda match: "\\" + match.group(), one_line(text).strip())
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def latex(text: str) -> str:
    """``text`` on one line with all characters escaped that are special in LaTeX.

    Letters beyond the Latin alphabet, which LaTeX cannot set without further packages, become "?".
    """
    escaped = _SPECIAL.sub(lambda match: _LATEX[match.group()], _SPACE.sub(" ", text))
    return "".join(each if each.isprintable() and ord(each) < _LATIN_ENDS else "?" for each in escaped)


def csv_cell(value: Any) -> Any:
    """``value`` as it is unless it is a text that a spreadsheet would run: that gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    text = visible(value, keep="\n\r\t")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def json_in_page(value: Any) -> str:
    """JSON without any character that could end or open an element of HTML, or a line of JavaScript."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for each in sorted({each for each in text if each in "<>&\u2028\u2029" or unicodedata.category(each) == "Cs"}):
        text = text.replace(each, f"\\u{ord(each):04x}")
    return text


def in_figure(text: str) -> str:
    """``text`` for a figure; that ``$`` begins no formula is the setting ``text.parse_math`` (`reporting.style`)."""
    return visible(text)
