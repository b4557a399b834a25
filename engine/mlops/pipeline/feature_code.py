"""Find where the code of derived features reads the clock, a file or a service."""

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

_CLOCK = (
    "reads the clock, so a training row would get the time of the training; add the time column "
    "to the feature's needs: in a request, it is the present time"
)
_FILE = "reads a file or service that a server does not have; put the values into src/project/"

_READ: dict[str, tuple[str, ...]] = {
    _CLOCK: (
        *("*.now", "*.utcnow", "*.today", "time.time", "time.time_ns", "time.localtime"),
        *("time.gmtime", "time.ctime", "time.asctime", "time.strftime", "time.clock_gettime*"),
        *("time.monotonic*", "time.perf_counter*", "time.process_time*"),
    ),
    _FILE: (
        *("open", "input", "*.open", "*.open_*", "*.read_*", "*.scan_*", "*.connect", "io.FileIO"),
        *("*.load_rows", "*.load_model", "*.urlopen", "*.urlretrieve", "*.iterdir", "*.rglob"),
        *("numpy.load*", "numpy.genfromtxt", "numpy.fromfile", "numpy.fromregex", "numpy.memmap"),
        *("joblib.load", "h5py.*", "duckdb.*", "sqlalchemy.*", "sqlite3.*", "fsspec.*", "boto3.*"),
        *("requests.*", "httpx.*", "urllib3.*", "aiohttp.*", "socket.*", "subprocess.*"),
        *("os.environ*", "os.getenv*", "os.listdir", "os.scandir", "os.walk", "os.popen"),
        *("os.system", "os.stat", "os.path.exists", "os.path.get*", "os.path.is*", "*.glob"),
        *("pkgutil.get_data", "importlib.resources.*", "linecache.*", "fileinput.*", "sys.argv"),
        *("sys.stdin*", "zipfile.ZipFile"),
    ),
}
"""Full names of functions and values, as patterns; of methods, the last part of the name."""

_TIMES = {"datetime64", "Timestamp", "to_datetime", "DatetimeIndex", "date_range"}
"""Functions to which the texts "now" and "today" are the present time."""


def code_problems(modules: Mapping[str, ast.Module]) -> list[str]:
    """List the lines that read the clock, a file or a service.

    Names are resolved through imports. What code hides, as by `getattr`, is not found.

    Args:
        modules: syntax trees by the modules' names.
    """
    own = {name.partition(".")[0] for name in modules} | {""}  # relative names start with a dot
    problems = {
        (module, line, f"{found}: {said}")
        for module, tree in modules.items()
        for line, found, said in _reads(tree, own)
    }
    return [f"{module}, line {line}: {told}" for module, line, told in sorted(problems)]


def _reads(tree: ast.Module, own: set[str]) -> Iterator[tuple[int, str, str]]:
    imported, defined, told = _imported(tree), _defined(tree), set[ast.AST]()
    for node in ast.walk(tree):  # a.b.c before its part a.b
        if isinstance(node, ast.Name | ast.Attribute):
            name = _full_name(node, imported)
            if node in told or name in defined or name.partition(".")[0] in own:
                continue
            for said, patterns in _READ.items():
                if any(fnmatchcase(name, pattern) for pattern in patterns):
                    yield node.lineno, ast.unparse(node), said
                    told.add(getattr(node, "value", node))
        elif isinstance(node, ast.Call):
            called = _full_name(node.func, imported).rpartition(".")[2]
            if called in _TIMES and any(_is_present(value) for value in node.args):
                yield node.lineno, ast.unparse(node), _CLOCK


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return the full names of what a module imports, by its own names."""
    found = dict[str, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
    return found


def _defined(tree: ast.Module) -> set[str]:
    """Return the names of arguments, variables and functions: such an `open` opens no file."""
    nodes = list(ast.walk(tree))
    found = {node.arg for node in nodes if isinstance(node, ast.arg)}
    found |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    stored = (node for node in nodes if isinstance(node, ast.Name))
    return found | {node.id for node in stored if isinstance(node.ctx, ast.Store)}


def _full_name(node: ast.expr, imported: Mapping[str, str]) -> str:
    """Return a dotted name, with `?` for what is not a name."""
    if isinstance(node, ast.Name):
        return imported.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, imported)}.{node.attr}"
    return "?"


def _is_present(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in ("now", "today")
