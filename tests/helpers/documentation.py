"""The documentation as tests read it: code blocks with what their comment says, applied to a project if wanted."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from tests_project import ROOT

_COMMENT = re.compile(r"<!-- (.*?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        language: What stands behind the fence.
        text: Its lines.
        line: Number of its first line in the document, the fence itself.
        comment: Content of the HTML comment right above it, else empty.
    """

    language: str
    text: str
    line: int
    comment: str


def code_blocks(document: Path) -> Iterator[Block]:
    """Yields the fenced code blocks of a Markdown file."""
    comment = ""
    for token in MarkdownIt().parse(document.read_text(encoding="utf-8")):
        if token.type == "fence":
            yield Block(token.info.strip(), token.content, token.map[0] + 1, comment)
        found = _COMMENT.match(token.content) if token.type == "html_block" else None
        comment = found[1] if found else ""


def worked_example() -> list[Block]:
    """Returns the blocks of docs/architecture.md that make up its worked example of a family."""
    blocks = code_blocks(ROOT / "docs/architecture.md")
    return [block for block in blocks if block.comment.startswith(("file: ", "change: "))]


def apply_blocks(blocks: list[Block], folder: Path) -> list[Path]:
    """Writes the files, and makes the changes, that blocks stand for; returns their paths within the folder."""
    paths = []
    for block in blocks:
        kind, _, name = block.comment.partition(": ")
        path = folder / name
        if kind == "file":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        else:
            path.write_text(_patched(path.read_text(), block.text))
        paths.append(Path(name))
    return paths


def _patched(content: str, diff: str) -> str:
    """Adds the lines with + where the lines around them stand; `@@` parts one place from the next."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if not line.startswith("+"))
        after = "".join(line[1:] for line in lines)
        assert content.count(before) == 1, f"these lines are not there once:\n{before}"
        content = content.replace(before, after)
    return content


def tables(document: Path) -> dict[str, list[list[list[str]]]]:
    """Returns heading to its tables: rows below the header, of cells as they are written."""
    found: dict[str, list[list[list[str]]]] = {}
    heading = ""
    tokens = MarkdownIt().enable("table").parse(document.read_text(encoding="utf-8"))
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[position + 1].content
        elif token.type == "tbody_open":
            found.setdefault(heading, []).append([])
        elif token.type == "tr_open" and found.get(heading) and tokens[position - 1].type != "thead_open":
            found[heading][-1].append([])
        elif token.type == "td_open":
            found[heading][-1][-1].append(tokens[position + 1].content)
    return found


@dataclass(frozen=True)
class Command:
    """A command of the documentation.

    Attributes:
        document: Its file, relative to the project.
        line: Where it stands.
        text: The command, without the prompt; Python code of a block.
        block: Number of its block in the document; -1 for a command in running text.
        language: `console` or `python`.
        name: What the comment above its block calls it, for Python.
    """

    document: str
    line: int
    text: str
    block: int
    language: str = "console"
    name: str = ""


def documents() -> list[Path]:
    """Returns the Markdown files of the project: README first, then docs, then the folders' own."""
    others = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "src").rglob("README.md"))]
    rest = [*sorted((ROOT / "notebooks").glob("*.md")), ROOT / "benchmarks/RESULTS.md"]
    return [path for path in (ROOT / "README.md", *others, *rest) if path.is_file()]


def commands() -> list[Command]:
    """Returns every command: of `console` blocks, in running text, and of Python blocks that are no files."""
    found = []
    for path in documents():
        document = path.relative_to(ROOT).as_posix()
        for number, block in enumerate(code_blocks(path)):
            if block.language == "console":
                found += [
                    Command(document, block.line + offset, text, number)
                    for offset, text in _prompted(block.text)
                ]
            elif block.language == "python" and not block.comment.startswith("file: "):
                name = block.comment.removeprefix("run: ")
                found.append(Command(document, block.line, block.text, number, "python", name))
        found += [
            Command(document, line, text, -1) for line, text in inline_code(path) if _PROGRAM.match(text)
        ]
    return sorted(found, key=lambda command: documents_order(command.document))


# What else stands in running text, such as `dask worker`, is the name of a program.
_PROGRAM = re.compile(r"(kedro|make|mlflow|python) \S")


def documents_order(document: str) -> int:
    """Returns the place of a document in `documents`."""
    return [path.relative_to(ROOT).as_posix() for path in documents()].index(document)


def _prompted(text: str) -> Iterator[tuple[int, str]]:
    """Yields line and text of the commands of a console block; what stands below a finished one is its output."""
    command: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("$ "):
            command, first = [line[2:]], number
        elif command:
            command.append(line)
        if command and _is_complete("\n".join(command)):
            yield first, "\n".join(command)
            command = []


def _is_complete(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return not command.endswith("\\")


def inline_code(document: Path) -> Iterator[tuple[int, str]]:
    """Yields line and content of code in running text and tables."""
    for token in MarkdownIt().enable("table").parse(document.read_text(encoding="utf-8")):
        if token.type == "inline":
            for child in token.children:
                if child.type == "code_inline":
                    yield token.map[0] + 1, child.content


def links(document: Path) -> Iterator[str]:
    """Yields the targets of links and pictures."""
    for token in MarkdownIt().enable("table").parse(document.read_text(encoding="utf-8")):
        for child in token.children or []:
            if child.type == "link_open":
                yield child.attrs["href"]
            elif child.type == "image":
                yield child.attrs["src"]


def anchors(document: Path) -> set[str]:
    """Returns the anchors that GitHub gives the headings."""
    tokens = MarkdownIt().parse(document.read_text(encoding="utf-8"))
    titles = [tokens[at + 1] for at, token in enumerate(tokens) if token.type == "heading_open"]
    texts = ["".join(part.content for part in title.children) for title in titles]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}
