"""What code a result depends on, as one short hash: the program without its comments, and the libraries it uses."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

from soundgate.runtime.imports import PACKAGE_ROOTS, import_closure, imported_names, module_name

# Of a syntax tree: says nothing of what is computed.
_NO_MATTER = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_DIGITS = 16
# What tells how work goes and changes nothing of what comes of it.
TELLING = (
    "soundgate.runtime.console",
    "soundgate.training.health",
    "soundgate.training.peak",
    "soundgate.training.tensorboard",
)
TELLING_LIBRARIES = ("click", "psutil", "rich", "tensorboard")
# A stage that reaches this trains.
TRAINING_LOOP = "soundgate.training.loop"


def code_hash(root: Path, modules: Iterable[str]) -> str:
    """Return a hash of all that importing ``modules`` can reach.

    Comments, docstrings, blank lines and where a line breaks do not count. The names of modules do, files of other
    kinds in a package that is reached (templates, tables), and the versions of libraries that are imported directly.

    Args:
        root: the repository.
        modules: dotted names; modules that one of them loads by name are to be among them.

    Returns:
        Hexadecimal digits, the same under every version of Python.

    Raises:
        ConfigError: a module does not exist, or a file is not Python.
    """
    files = import_closure(root, modules)
    return _hash_of(root, files, _libraries(root, files))


def work_hash(root: Path, modules: Iterable[str]) -> str:
    """Return a hash of the code that can change what a stage computes: by it, unfinished work is gone on with.

    As `code_hash`, less what only tells how the work goes (`TELLING`, unless it is among ``modules``) and the libraries
    that print or watch (`TELLING_LIBRARIES`). A training, which takes long, goes on after a patch release: of its
    libraries the minor version counts (2.11 of 2.11.0).
    """
    files = import_closure(root, modules, TELLING)
    versions = {name: number for name, number in _libraries(root, files).items() if name not in TELLING_LIBRARIES}
    if any(module_name(file) == TRAINING_LOOP for file in files):
        versions = {name: ".".join(number.split(".")[:2]) for name, number in versions.items()}
    return _hash_of(root, files, versions)


def _libraries(root: Path, files: Iterable[Path]) -> dict[str, str]:
    names = {name.partition(".")[0] for file in files for name in imported_names(root / file, module_name(file))}
    return library_versions(names)


def _hash_of(root: Path, files: Iterable[Path], versions: Mapping[str, str]) -> str:
    lines = [f"{module_name(file)} {fingerprint((root / file).read_bytes())}" for file in files]
    for file in files:
        if file.name == "__init__.py":
            data = _data_files(root / file.parent)
            lines += (f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in data)
    lines += (f"{name}=={number}" for name, number in versions.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGITS]


def library_versions(modules: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of the libraries that provide top-level modules, sorted by the libraries' names.

    What belongs to Python, to this repository or is not installed is left out, and so is what follows a ``+``: the same
    release is built for several kinds of processors.
    """
    outside = set(modules) - sys.stdlib_module_names - set(PACKAGE_ROOTS)
    names = {name for module in outside for name in _providers().get(module, ())}
    return {name: version(name).partition("+")[0] for name in sorted(names)}


@cache
def _providers() -> dict[str, list[str]]:
    return dict(packages_distributions())


@cache
def fingerprint(source: bytes) -> str:
    """Return a hash of a Python file as a program: of its syntax tree without bare strings."""
    digest = hashlib.sha256()
    for part in _canonical(ast.parse(source)):
        digest.update(part.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()[:_DIGITS]


def _canonical(node: object) -> Iterator[str]:
    """Yield a tree's parts in order; what is empty is left out, as versions of Python differ in it."""
    if isinstance(node, ast.AST):
        yield type(node).__name__
        for field in node._fields:
            value = getattr(node, field, None)
            if value is not None and value != [] and field not in _NO_MATTER:
                yield field
                yield from _canonical(value)
        yield ")"
    elif isinstance(node, list):
        for item in node:
            if not _is_bare_string(item):
                yield from _canonical(item)
        yield "]"
    else:
        yield repr(node)


def _is_bare_string(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _data_files(package: Path) -> list[Path]:
    """Return the files of a package that are not Python, those of packages inside it left out."""
    found = []
    for path in sorted(package.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            found.append(path)
        elif path.is_dir() and not (path / "__init__.py").is_file():
            found += _data_files(path)
    return found
