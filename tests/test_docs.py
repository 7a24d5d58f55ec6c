"""Docs cannot rot: what README, ARCHITECTURE, CONTRIBUTING and docs/ name must exist.

Code spans and fenced blocks are read for paths (against the tree), Python names (against the source), `make` targets
(against the Makefile) and `kijabi` commands with their options (against click); links and their anchors are followed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from kijabi.cmd.main import main
from kijabi.controllers.cloud.providers import GROUP as ENTRY_POINTS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# A path of this repository, as opposed to one in a data directory or a container; it may hold placeholders.
PATH = re.compile(
    r"(?<![\w./~$:<>-])((?:kijabi|tests|docs|examples|benchmarks|scripts|\.ci)/[\w./<>*…-]*|[\w/]+\.(?:py|md)|pyproject\.toml)(?![\w/])"
)
# kijabi.dev/… is a name in the API.
MODULE = re.compile(r"\b((?:kijabi|benchmarks)(?!\.dev/)(?:\.[a-z_0-9]+)+)\b")
METHOD = re.compile(r"^([A-Z][a-z]\w+)\.([a-z_]\w*)$")
PLACEHOLDER = re.compile(r"[<>*…]")
# Where a path that is written short may be meant to start.
BASES = ("", "kijabi", "kijabi/kubelet", "kijabi/kubelet/runtime", "kijabi/apiserver", "kijabi/api")


class Snippet(NamedTuple):
    """A code span or the text of a fenced block. language is "" for a span."""

    language: str
    text: str


def snippets(page: Path) -> Iterator[Snippet]:
    text = page.read_text()
    for match in FENCE.finditer(text):
        yield Snippet(match[1] or "text", match[2])
    for match in SPAN.finditer(FENCE.sub("", text)):
        yield Snippet("", match[1])


def command_lines(page: Path) -> Iterator[str]:
    """Spans, and the lines of shell blocks with continued ones joined and comments gone."""
    for language, text in snippets(page):
        if language in ("", "sh"):
            for line in text.replace("\\\n", " ").splitlines():
                yield re.sub(r"\s#\s.*", "", line)


def exists(path: str, page: Path) -> bool:
    path = path.rstrip("/")
    if any((ROOT / base / path).exists() for base in BASES) or (page.parent / path).exists():
        return True
    # `plan.py` alone means the file of that name in the paragraph's package: some file must be called so.
    return "/" not in path and any(ROOT.glob(f"kijabi/**/{path}"))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_paths_exist(page: Path) -> None:
    shown = (text for language, text in snippets(page) if language in ("", "sh", "text"))
    named = {found for text in shown for found in PATH.findall(text) if not PLACEHOLDER.search(found)}
    missing = sorted(path for path in named if not exists(path, page))
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_modules_exist(page: Path) -> None:
    for _, text in snippets(page):
        for name in MODULE.findall(text):
            path = ROOT / name.replace(".", "/")
            parent = path.parent.with_suffix(".py")
            known = name == ENTRY_POINTS or path.is_dir() or path.with_suffix(".py").exists()
            known = known or (parent.exists() and re.search(rf"\b{path.name}\b", parent.read_text()) is not None)
            assert known, name


@pytest.fixture(scope="module")
def sources() -> list[str]:
    return [path.read_text() for path in (ROOT / "kijabi").rglob("*.py")]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_methods_exist(page: Path, sources: list[str]) -> None:
    for _, text in snippets(page):
        if match := METHOD.match(text):
            holders = [source for source in sources if re.search(rf"^class {match[1]}\b", source, re.MULTILINE)]
            inside = any(re.search(rf"\b{match[2]}\b", source) for source in holders)
            assert inside, text


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_leads_to_every_page_and_example() -> None:
    linked = set(LINK.findall((ROOT / "README.md").read_text()))
    pages = {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")}
    examples = {f"examples/{directory.name}" for directory in ROOT.glob("examples/*") if directory.is_dir()}
    assert not (pages | examples) - linked


def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_make_targets_exist(page: Path) -> None:
    variables = set(re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)) | {"PURGE", "BUILT"}
    for line in command_lines(page):
        for rest in re.findall(r"(?:^|&& |; )make +([^&|;#]+)", line.strip()):
            for word in rest.split():
                name, equals, _ = word.partition("=")
                assert name in (variables if equals else targets()), line


def invocations(page: Path) -> Iterator[list[str]]:
    """The words after `kijabi` of each command line that starts so."""
    for line in command_lines(page):
        for rest in re.findall(r"(?:^|&& |; |\$\()kijabi( [^&|;)]*)?", line.strip()):
            yield re.sub(r"[\[\]]", " ", rest.replace("\\", "/")).split()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_and_options_exist(page: Path) -> None:
    for words in invocations(page):
        if not words:
            continue
        name, *rest = words
        if name in ("COMMAND", "--help", "--version"):
            continue
        command = main.get_command(click.Context(main), name)
        assert command is not None, f"kijabi {name}"
        known = {flag for option in options(command, name) for flag in option.opts} | {"--help"}
        for word in rest:
            if word.startswith("-"):
                assert word.partition("=")[0] in known, f"kijabi {' '.join(words)}"


def options(command: click.Command, name: str) -> list[click.Parameter]:
    """The options of a command; those of a component are known once it is asked."""
    return command.make_context(name, [], resilient_parsing=True).command.params


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    for name, command in main.commands.items():
        assert command.hidden or name in text, name


def test_every_package_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for package in (ROOT / "kijabi").iterdir():
        if (package / "__init__.py").exists():
            assert f"`kijabi/{package.name}`" in text, package.name


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "ARCHITECTURE.md").read_text()
    explained = text[text.index("## Dependencies") : text.index("## Decisions")]
    groups = (project["dependencies"], *project["optional-dependencies"].values())
    for line in (line for group in groups for line in group):
        name = re.split(r"[<>=\[; ]", line)[0]
        assert f"`{name}`" in explained, name
