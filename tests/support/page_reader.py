"""A page as its elements, and the texts of its sections."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from support.records_factory import Made

from gradprom.reports.page.page import write_page
from gradprom.reports.tables.table import Table


class Reader(HTMLParser):
    """Elements with their attributes, texts by the section that they stand in."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.data = ""
        self._section, self._tag = "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        self._tag = "data" if found.get("id") == "data" else tag
        if tag in ("section", "aside"):
            self._section = found.get("id") or ""

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag == "data":
            self.data += data
        elif self._tag not in ("script", "style"):
            self.texts[self._section] = self.texts.get(self._section, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(made: Made, tables: list[Table] | None = None, **more: Any) -> tuple[Reader, Path]:
    path = made.study.folder / "report" / "index.html"
    given = {"judged": [], "pictures": [], "problems": []} | more
    write_page(path, tables or made.tables(), made.records, made.study, *given.values())
    reader = Reader()
    reader.feed(path.read_text())
    return reader, path
