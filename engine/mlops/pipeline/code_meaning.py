"""Hash the meaning of Python code, without comments, docstrings, layout and descriptions."""

import ast
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

_WORDING = {"Column": (1, 3), "Derived": (1, 3), "Rule": (2,), "Metric": (1, 2)}
"""Positions of the description and the unit in calls of these classes."""


def hash_meaning(module: str, roots: Sequence[Path], unused: Collection[str] = ()) -> str:
    """Hash the meaning of a module and of all that it imports from `roots`.

    The same code gives the same hash under every supported Python.

    Args:
        module: dotted name.
        roots: folders that hold packages. The engine counts only for modules of its own: a
            serving image has it in the project's folder, a repository has not.
        unused: modules to ignore, because they are imported inside functions and not needed here.
    """
    modules = _read(module, roots, unused)
    found = [f"{name} {_hash(text)}" for name, text in sorted(modules.items())]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def read_modules(module: str, roots: Sequence[Path]) -> dict[str, ast.Module]:
    """Parse a module and all that it imports from `roots`: name -> syntax tree."""
    return {name: _parse(text) for name, text in _read(module, roots).items()}


def _read(module: str, roots: Sequence[Path], unused: Collection[str] = ()) -> dict[str, str]:
    """Read a module and all that it imports from `roots`: name -> source code."""
    ours = module.startswith("mlops.")
    found: dict[str, str] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        path = _file_of(name, roots)
        if name in found or name in unused or path is None:
            continue
        found[name] = text = path.read_text(encoding="utf-8")
        parent = name.rpartition(".")[0]
        names = {*_imported(text, name if path.name == "__init__.py" else parent), parent}
        todo += [one for one in names if one and ours == (one.partition(".")[0] == "mlops")]
    return found


@cache  # by their text: stages have most of their modules in common
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def _hash(text: str) -> str:
    meaning = json.dumps(_meaning(_parse(text)), sort_keys=True)
    return hashlib.sha256(meaning.encode()).hexdigest()


def _file_of(module: str, roots: Sequence[Path]) -> Path | None:
    parts = module.split(".")
    for root in roots:
        for path in (
            root.joinpath(*parts).with_suffix(".py"),
            root.joinpath(*parts, "__init__.py"),
        ):
            if path.is_file():
                return path
    return None


@cache
def _imported(text: str, package: str) -> tuple[str, ...]:
    """Return the modules that a module of a package imports; of `from a import b` a and a.b."""
    return tuple(_names(_parse(text), package))


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _meaning(node: Any) -> Any:
    """Convert a syntax tree to plain values, without docstrings, descriptions and units.

    Fields that are empty are left out: newer Pythons have more of them.
    """
    if isinstance(node, list):
        return [_meaning(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Constant):
        return repr(node.value)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        # Attribute docstrings are dropped too.
        fields["body"] = [line for line in node.body if not _is_text(line)]
    if isinstance(node, ast.Call):
        fields |= _without_wording(node)
    known = {name: _meaning(value) for name, value in fields.items() if value}
    return [type(node).__name__, known]


def _without_wording(call: ast.Call) -> dict[str, list[Any]]:
    """Return a call's arguments; for a class of _WORDING, without those that are only words."""
    called = getattr(call.func, "attr", getattr(call.func, "id", None))
    if called not in _WORDING or any(isinstance(one, ast.Starred) for one in call.args):
        return {}
    args, keywords = [*call.args], call.keywords
    for place in _WORDING[called]:
        if place < len(args) and isinstance(args[place], ast.Constant):
            args[place] = ast.Constant("")
    words = [
        one
        for one in keywords
        if one.arg in ("description", "unit") and isinstance(one.value, ast.Constant)
    ]
    return {"args": args, "keywords": [one for one in keywords if one not in words]}


def _is_text(line: ast.stmt) -> bool:
    return (
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    )
