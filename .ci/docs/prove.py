"""Proves a built site: `python .ci/docs/prove.py build/docs docs`. Prints what is wrong, and exits 1 if anything is.

- Every page of docs/ is there, and each page's nav leads to every other one.
- Every link inside the site leads to a file that is there, and to an anchor that is in it.
- No page loads anything from another place: scripts, styles, fonts, images, frames.
- What Markdown did not understand (fences, references to unknown names) stands in no page.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
}
NO_LOAD = {"canonical", "prev", "next"}
IN_STYLE = re.compile(r"(?:@import\s+(?:url\(\s*)?|url\(\s*)[\"']?([^\"')]+)")
CODE = {"pre", "code", "script", "style"}
RAW = re.compile(r"```|^:::|\]\[typedgator|\]\([\w./#-]+\)", re.MULTILINE)


class Page(HTMLParser):
    """What is looked at in one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.nav: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self._code = 0
        self._nav = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self._code += tag in CODE
        self._nav += tag == "nav"
        if tag == "a" and "href" in given:
            (self.nav if self._nav else self.links).append(given["href"])
        if tag in LOADS and LOADS[tag] in given and given.get("rel") not in NO_LOAD:
            self.loads.append(given[LOADS[tag]])
        self.loads += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        self.loads += IN_STYLE.findall(given.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in CODE
        self._nav -= tag == "nav"

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.text += data


def faults(site: Path, docs: Path) -> Iterator[str]:
    """What is wrong, a line each; both paths resolved."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    expected = {(site / path.relative_to(docs)).with_suffix(".html") for path in docs.rglob("*.md")}
    yield from (f"{path.relative_to(site)}: was not built" for path in sorted(expected - set(pages)))
    for path, page in pages.items():
        shown = path.relative_to(site)
        reached = {(path.parent / unquote(urlsplit(link).path)).resolve() for link in page.nav} | {path.resolve()}
        yield from (
            f"{shown}: its nav leaves out {e.relative_to(site)}" for e in sorted(pages) if e.resolve() not in reached
        )
        yield from (f"{shown}: loads {url}" for url in page.loads if urlsplit(url).netloc)
        yield from (f"{shown}: Markdown as it was written: {found[0]}" for found in RAW.finditer(page.text))
        for link in [*page.links, *page.nav, *page.loads]:
            yield from (f"{shown}: {why}" for why in _wrong(link, path, pages))
    for style in sorted(site.rglob("*.css")):
        found = IN_STYLE.findall(style.read_text(encoding="utf-8"))
        yield from (f"{style.relative_to(site)}: loads {url}" for url in found if urlsplit(url).netloc)


def _wrong(link: str, path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        yield f"{link} leads nowhere"
    elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        yield f"{link} leads to a page without that anchor"


if __name__ == "__main__":
    site, docs = (Path(argument).resolve() for argument in sys.argv[1:])
    found = list(faults(site, docs))
    good = f"{len(list(site.rglob('*.html')))} pages, and every link leads somewhere"
    print("\n".join(found) or good)  # noqa: T201
    sys.exit(bool(found))
