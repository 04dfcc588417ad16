"""What the site has beyond the files of docs/: a nav that leaves out no page, and the page of commands."""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

GENERATED = Path(__file__).parents[2] / "build" / "docs-generated"
SOUGHT_FIRST = {"index.md": 3, "guide": 4, "howto": 3, "reference": 0.5, "performance.md": 1, "internals": 0.3}
"""How much the pages of a folder count in the search: who looks for `unique` wants the guide, not the Redis layout."""


def on_config(config: MkDocsConfig) -> None:
    """Puts each page that the nav does not name into the section where its folder's others are."""
    nav: list[dict[str, Any]] = config.nav or []
    docs = Path(config.docs_dir)
    named = set(_named(nav))
    for page in sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md")):
        if page not in named:
            _section(nav, page.partition("/")[0]).append(page)


def _named(entry: Any) -> list[str]:
    match entry:
        case str():
            return [entry]
        case list():
            return [page for part in entry for page in _named(part)]
        case _:
            return [page for part in entry.values() for page in _named(part)]


def _section(nav: list[dict[str, Any]], folder: str) -> list[Any]:
    """The one with most pages of this folder; a new one, if there is none."""

    def pages(pair: tuple[str, Any]) -> int:
        return sum(page.startswith(f"{folder}/") for page in _named(pair[1])) if isinstance(pair[1], list) else 0

    best = max((pair for entry in nav for pair in entry.items()), key=pages, default=("", []))
    if pages(best):
        found: list[Any] = best[1]
        return found
    nav.append({folder.capitalize(): []})
    made: list[Any] = nav[-1][folder.capitalize()]
    return made


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what make wrote before."""
    for path in sorted(GENERATED.rglob("*.md")):
        files.append(File.generated(config, path.relative_to(GENERATED).as_posix(), content=path.read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Says how much the search makes of it."""
    page.meta["search"] = {"boost": SOUGHT_FIRST[page.file.src_uri.partition("/")[0]]}
