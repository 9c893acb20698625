"""Static imports: which files of this repository, and which libraries, a module's result can depend on."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

from soundgate.runtime.errors import ConfigError

# Where each package of the repository lies, relative to its root.
PACKAGE_ROOTS = {"soundgate": "src", "stages": "."}


def module_file(root: Path, module: str) -> Path | None:
    """Return the file of ``module`` relative to ``root``, or None where the repository has no such module."""
    package = module.split(".")[0]
    if package not in PACKAGE_ROOTS:
        return None
    stem = Path(PACKAGE_ROOTS[package], *module.split("."))
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if (root / candidate).is_file():
            return candidate
    return None


def module_name(file: Path) -> str:
    """Return the dotted name of a file of this repository, given relative to its root."""
    parts = file.with_suffix("").parts
    parts = parts[1:] if parts[0] == "src" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_modules(package: str, root: Path = Path()) -> list[str]:
    """Return the names of all modules inside a package, itself included, sorted.

    Raises:
        ConfigError: there is no such package.
    """
    file = module_file(root, package)
    if file is None or file.name != "__init__.py":
        raise ConfigError(package, expected="a package of this repository", found="none of that name")
    return sorted(module_name(path.relative_to(root)) for path in (root / file).parent.rglob("*.py"))


def import_closure(root: Path, modules: Iterable[str], without: Collection[str] = ()) -> list[Path]:
    """Return every file that importing ``modules`` can reach in the repository, sorted, relative to ``root``.

    Imports inside functions and under ``TYPE_CHECKING`` count, and so does the ``__init__`` of every package
    on the way. Modules loaded by name are not seen: see `soundgate.pipeline.code`.

    Args:
        root: the repository.
        modules: dotted names.
        without: modules and packages that do not count unless they are among ``modules``, and neither does what is
            reached through them alone.

    Raises:
        ConfigError: one of ``modules`` does not exist, or a file is not Python.
    """
    modules = list(modules)
    reached, without, waiting = set[Path](), frozenset(without) - set(modules), []
    for module in modules:
        if module_file(root, module) is None:
            raise ConfigError(module, expected="a module of this repository", found="no such file")
        waiting.append(module)
    while waiting:
        module = waiting.pop()
        file = module_file(root, module)
        if file is None or file in reached or without & {module, *_packages_above(module)}:
            continue
        reached.add(file)
        waiting += _packages_above(module)
        waiting += imported_names(root / file, module)
    return sorted(reached)


def _packages_above(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:depth]) for depth in range(1, len(parts)))


def imported_names(path: Path, module: str) -> tuple[str, ...]:
    """Return every dotted name that a file imports, of this repository or not; ``module`` is the file's own name.

    Raises:
        ConfigError: the file is not Python.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        return _names_in(path.read_text(encoding="utf-8"), package)
    except SyntaxError as error:
        raise ConfigError(path, expected="Python", found=f"{error.msg}, line {error.lineno}") from error


@cache
def _names_in(text: str, package: str) -> tuple[str, ...]:
    """Return every name the code imports; of ``from a import b`` both ``a`` and ``a.b``: b may be a module.

    Cached, because most modules are reached from many stages.
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names += _prefixes(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            names += _prefixes(base)
            names += (f"{base}.{alias.name}" for alias in node.names)
    return tuple(names)


def _prefixes(name: str) -> list[str]:
    return [*_packages_above(name), name]


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join(base + ([node.module] if node.module else []))
