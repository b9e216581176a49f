"""Writes plugins/README.md, the page of the public API, from the docstrings: `python tests/api_page.py`."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import bridge
import bridge.testing
from bridge import hookspecs

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "plugins" / "README.md"
HOOKS = [name for name in vars(hookspecs) if name.startswith("bridge_")]
FIXTURES = ["sink", "start_bridge", "fake_pbx", "each_event"]
HEAD = """\
# The public API of callbridge

Everything a plugin may use: the hooks it implements, what `bridge` has to import, and the test kit `bridge.testing`.
All else is the core's own and changes without notice. (This page is made of the docstrings by `python
tests/api_page.py`.) How to begin is in the [README](../README.md#write-a-connector-in-ten-minutes); the plugins in this
folder are examples that work.
"""
PARTS = {
    "To register": ["hookimpl", "ConnectorKind", "SourceKind", "DirectoryKind", "NoSettings"],
    "What a connector gets": ["ConnectorContext", "Delivery", "Event", "CallData", "Call", "Number", "Contact"],
    "What a connector answers": ["Outcome", "Receipt", "Skip"],
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A name as the page shows it: how it is written, and its docstring; of a class its members too."""

    name: str
    signature: str
    doc: str
    members: tuple[Entry, ...] = ()
    init: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def methods(self) -> list[Entry]:
        """Its members that are called, or read like that."""
        return [member for member in self.members if "->" in member.signature]

    @property
    def fields(self) -> list[Entry]:
        """Its other members."""
        return [member for member in self.members if "->" not in member.signature and member.name != "model_config"]


def entries(files: Iterable[Path]) -> dict[str, Entry]:
    """Every documented or undocumented name at the top of these modules."""
    found: dict[str, Entry] = {}
    for file in files:
        found.update((entry.name, entry) for entry in _of_body(ast.parse(file.read_text("utf-8")).body))
    return found


def _of_body(body: list[ast.stmt]) -> Iterator[Entry]:
    for node, after in zip(body, [*body[1:], None], strict=True):
        below = after.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        text = inspect.cleandoc(str(below.value)) if below is not None else ""
        match node:
            case ast.FunctionDef():
                yield Entry(node.name, _signature(node), ast.get_docstring(node) or "")
            case ast.ClassDef():
                inside = list(_of_body(node.body))
                members = tuple(
                    entry
                    for entry in inside
                    if entry.name == "__call__" or not entry.name.startswith(("_", "test_", "pytest_"))
                )
                bases = ", ".join(ast.unparse(base) for base in node.bases)
                yield Entry(
                    node.name,
                    f"class {node.name}({bases})".removesuffix("()"),
                    ast.get_docstring(node) or "",
                    members,
                    next((entry.signature for entry in inside if entry.name == "__init__"), ""),
                )
            case ast.AnnAssign(target=ast.Name() as target):
                yield Entry(target.id, ast.unparse(node), text)
            case ast.Assign(targets=[ast.Name() as target]):
                yield Entry(target.id, ast.unparse(node), text)


def _signature(node: ast.FunctionDef) -> str:
    kind = "property " if any(ast.unparse(one) == "property" for one in node.decorator_list) else ""
    arguments = re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))
    return f"{kind}{node.name}({arguments}) -> {ast.unparse(node.returns) if node.returns else '?'}"


def public() -> dict[str, Entry]:
    """The names of `bridge`."""
    known = entries((ROOT / "bridge").glob("*.py"))
    return {name: known[name] for name in bridge.__all__}


def kit() -> dict[str, Entry]:
    """The names of `bridge.testing`, and its fixtures."""
    folder = ROOT / "bridge" / "testing"
    known = entries([ROOT / "bridge" / "memory.py", *folder.glob("*.py")])
    return {name: known[name] for name in bridge.testing.__all__} | {name: _fixture(known[name]) for name in FIXTURES}


def _fixture(entry: Entry) -> Entry:
    """A fixture as tests take it: a name with a type."""
    made = re.sub(r"^Iterator\[(.*)\]$", r"\1", entry.signature.partition(" -> ")[2])
    return Entry(entry.name, f"{entry.name}: {made}", entry.doc)


def hooks() -> dict[str, Entry]:
    """The hooks."""
    known = entries([ROOT / "bridge" / "hookspecs.py"])
    return {name: known[name] for name in HOOKS}


def page() -> str:
    """The text of the page."""
    names = public()
    first = [name for part in PARTS.values() for name in part]
    rest = {name: entry for name, entry in names.items() if name not in first}
    failures = {name: entry for name, entry in rest.items() if _is_error(name)}
    sections = [
        ("Hooks", hooks().values()),
        *((title, [names[name] for name in part]) for title, part in PARTS.items()),
        ("What a connector raises, and other errors", failures.values()),
        ("The rest of `bridge`", [entry for name, entry in rest.items() if name not in failures]),
        ("The test kit: `bridge.testing`, and its fixtures", kit().values()),
    ]
    body = "\n".join(f"## {title}\n\n{''.join(_shown(entry) for entry in part)}" for title, part in sections)
    return f"{HEAD}\n{body}".rstrip() + "\n"


def _is_error(name: str) -> bool:
    value = getattr(bridge, name)
    return isinstance(value, type) and issubclass(value, Exception)


def _shown(entry: Entry) -> str:
    lines = [f"### `{entry.name}`", "", "```python", entry.signature]
    if entry.init:
        lines.append(f"{entry.name}{entry.init.removeprefix('__init__')}".replace(" -> None", ""))
    if fields := entry.fields:
        lines[-1] += ":"
        lines += [
            f"    {field.signature}" + (f"  # {field.doc.splitlines()[0]}" if field.doc else "") for field in fields
        ]
    lines += ["```", "", _markdown(entry.doc), ""]
    for member in entry.methods:
        lines += [f"- `{member.signature}`", "", textwrap.indent(_markdown(member.doc), "  "), ""]
    return "\n".join(lines) + "\n"


def _markdown(doc: str) -> str:
    """A docstring, its literal blocks fenced."""
    return re.sub(
        r"::\n\n((?:    .*\n|\n)+)",
        lambda match: ":\n\n```python\n" + textwrap.dedent(match[1]).rstrip() + "\n```\n\n",
        doc + "\n",
    ).rstrip()


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
