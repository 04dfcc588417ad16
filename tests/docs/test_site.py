"""The site: its pages as they stand in docs/, and the script that proves what `make docs` built of them."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GENERATED = {DOCS / "reference/commands.md"}
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"(?<!`)\]\((?!https?:|mailto:)([^)\s]+)\)")
FENCED = re.compile(r"^([ ]*)(```+).*?^\1\2\s*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+?)\s*$", re.MULTILINE)
SHOWN = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)

# Whose `__all__` the reference has to have in full.
PUBLIC = (
    *("typedgator", "typedgator.errors", "typedgator.events", "typedgator.backends.contract", "typedgator.wire.frame"),
    *("typedgator.wire.verdict", "typedgator.testing", "typedgator.testing.laws", "typedgator.testing.strategies"),
    *("typedgator.testing.contract", "typedgator.contrib.asgi", "typedgator.contrib.django"),
)


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """As GitHub and the site make them of headings."""
    words = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in HEADING.findall(prose(page)))
    return {re.sub(r"[-\s]+", "-", word.strip()) for word in words}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_the_page_leads_somewhere(page: Path) -> None:
    """To a file that is there, and to a heading that is in it."""
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() or target in GENERATED, f"{page}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{page}: {link}: {target.name} has no such heading"


def module_path(name: str) -> Path:
    path = ROOT / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def public_names(module: str) -> list[str]:
    """Its `__all__`, read and not imported: Django may not be there."""
    for node in ast.parse(module_path(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    raise AssertionError(f"{module} has no __all__")


def where_it_is_made(module: str, name: str) -> str:
    """`typedgator.Gator` is `typedgator.gator.Gator`."""
    for node in ast.parse(module_path(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return where_it_is_made(str(node.module), name)
    return f"{module}.{name}"


def shown_in_the_reference() -> Iterator[str]:
    """What stands behind `:::`, where it is made; of a module, all its public names."""
    for page in sorted((DOCS / "reference").glob("*.md")):
        for path in SHOWN.findall(page.read_text(encoding="utf-8")):
            module, _, name = path.rpartition(".")
            whole = module_path(path).exists()
            for one in public_names(path) if whole else [name]:
                yield where_it_is_made(path if whole else module, one)


def test_every_public_name_has_its_place_in_the_reference() -> None:
    """One place, and only one."""
    shown = list(shown_in_the_reference())
    public = {
        where_it_is_made(module, name) for module in PUBLIC for name in public_names(module) if name != "__version__"
    }

    assert sorted(public - set(shown)) == []
    assert sorted({path for path in shown if shown.count(path) > 1}) == []


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "index.md"], ids=lambda page: page.name)
def test_a_newcomer_has_a_running_worker_within_two_minutes_of_reading(page: Path) -> None:
    """Prose, code and outputs, at 230 words a minute, to the line in which a worker says what it did."""
    before, found, _ = page.read_text(encoding="utf-8").partition(" succeeded\n```\n")
    assert found
    assert len(re.sub(r"<!--.*?-->", "", before).split()) < 2 * 230


def undescribed(module: str) -> Iterator[str]:
    """Fields of its classes that the docstrings of class and module do not name."""
    tree = ast.parse(module_path(module).read_text(encoding="utf-8"))
    for node in (part for part in tree.body if isinstance(part, ast.ClassDef) and not part.name.startswith("_")):
        told = f"{ast.get_docstring(tree)} {ast.get_docstring(node)}"
        yield from (f"{node.name}.{name}" for name in fields(node) if f"`{name}`" not in told and name[0] != "_")


def fields(node: ast.ClassDef) -> Iterator[str]:
    """What is annotated in the class's body, or assigned to `self` in its constructor."""
    for part in node.body:
        match part:
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.FunctionDef(name="__init__", body=lines):
                for line in lines:
                    match line:
                        case (
                            ast.Assign(targets=[ast.Attribute(attr=name)])
                            | ast.AnnAssign(target=ast.Attribute(attr=name))
                        ):
                            yield name


@pytest.mark.parametrize("module", ["typedgator.errors", "typedgator.events"])
def test_what_an_error_or_an_event_carries_is_described(module: str) -> None:
    """In the reference, users read the docstrings alone."""
    assert list(undescribed(module)) == []


def proved(folder: Path, **pages: str) -> str:
    """What the script says of a site of these pages."""
    for name, body in pages.items():
        nav = "".join(f'<a href="{other}.html">' for other in pages)
        (folder / "docs").mkdir(exist_ok=True)
        (folder / "site").mkdir(exist_ok=True)
        (folder / f"docs/{name}.md").touch()
        (folder / f"site/{name}.html").write_text(f"<nav>{nav}</nav>{body}", encoding="utf-8")
    return run(folder)


def run(folder: Path) -> str:
    argv = [sys.executable, str(ROOT / ".ci/docs/prove.py"), "site", "docs"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if "every link leads somewhere" in done.stdout else 1), done.stderr
    return done.stdout.strip()


def test_a_good_site_is_called_good(tmp_path: Path) -> None:
    """The others below differ from it in one thing."""
    body = '<h1 id="top">A</h1><a href="b.html#top"></a><a href="https://example.org"></a><code>```</code>'

    assert proved(tmp_path, a=body, b='<h1 id="top">B</h1>') == "2 pages, and every link leads somewhere"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<a href="c.html"></a>', "a.html: c.html leads nowhere"),
        ('<img src="c.png">', "a.html: c.png leads nowhere"),
        ('<a href="b.html#down"></a>', "a.html: b.html#down leads to a page without that anchor"),
        ('<script src="https://cdn.example/x.js"></script>', "a.html: loads https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "a.html: loads //cdn.example/x.css"),
        ("<p>```python\n", "a.html: Markdown as it was written: ```"),
        ("<p>see [Job][typedgator.Jobs]", "a.html: Markdown as it was written: ][typedgator"),
    ],
)
def test_what_is_wrong_with_a_page_is_said(body: str, said: str, tmp_path: Path) -> None:
    """In a line that names the page."""
    assert proved(tmp_path, a=body, b="") == said


def test_a_page_that_is_missing_is_named(tmp_path: Path) -> None:
    """One that was not built, and one that no nav leads to."""
    proved(tmp_path, a="", b="")
    (tmp_path / "docs/late.md").touch()
    (tmp_path / "site/lost.html").write_text('<nav><a href="a.html"><a href="b.html"></nav>')

    assert run(tmp_path).splitlines() == [
        "late.html: was not built",
        "a.html: its nav leaves out lost.html",
        "b.html: its nav leaves out lost.html",
    ]


def test_a_style_that_loads_from_elsewhere_is_named(tmp_path: Path) -> None:
    """Fonts, for one."""
    proved(tmp_path, a="")
    (tmp_path / "site/a.css").write_text("@import url('https://fonts.example/f.css');")

    assert run(tmp_path) == "a.css: loads https://fonts.example/f.css"
