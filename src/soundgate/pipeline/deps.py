"""Code dependencies of the pipeline's stages, computed from their imports and written into ``dvc.yaml``."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from soundgate.runtime.console import logger, set_up_logging
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.files import write_text
from soundgate.runtime.imports import import_closure, module_name, package_modules
from soundgate.runtime.stage import errors_in_one_line

PIPELINE_FILE = "dvc.yaml"
CODE_FOLDERS = ("src/", "stages/")
_STAGE_MODULE = re.compile(r"python -m (stages\.[\w.]+)")


@dataclass(frozen=True)
class Plugins:
    """Packages of which a stage loads one by name, so that its imports do not tell which.

    Attributes:
        loader: the module that loads them; a stage that reaches it depends on the plugin of its matrix item.
        folder: where the packages lie, one each.
        axis: the matrix axis that names the package.
    """

    loader: str
    folder: str
    axis: str


PLUGINS = (
    Plugins("soundgate.codecs.registry", "src/soundgate/codecs", "codec"),
    Plugins("soundgate.embeddings.registry", "src/soundgate/embeddings", "embedder"),
)


def code_deps(stage: str, entry: Mapping, root: Path, plugins: tuple[Plugins, ...] = PLUGINS) -> list[str]:
    """Return the code a stage depends on: its import closure and, templated, the plugin of its matrix item.

    Args:
        stage: the stage's name.
        entry: its entry in ``dvc.yaml``.
        root: the repository.
        plugins: the kinds of packages loaded by name.

    Raises:
        ConfigError: its command runs no stage module, or it loads a plugin its matrix does not name.
    """
    match = _STAGE_MODULE.search(str(entry["cmd"]))
    expected_module = "stages." + stage.replace("-", ".", 1).replace("-", "_")
    if match is None or match[1] != expected_module:
        found = match[1] if match else str(entry["cmd"])
        raise ConfigError(f"stage {stage}", expected=f"a cmd with: python -m {expected_module}", found=found)
    files = import_closure(root, [match[1]])
    folders = []
    for kind in plugins:
        if kind.loader not in map(module_name, files):
            continue
        if kind.axis not in entry.get("matrix", {}):
            expected = f"`{kind.axis}` in its matrix, because it reaches {kind.loader}"
            found = ", ".join(entry.get("matrix", {})) or "no matrix"
            raise ConfigError(f"stage {stage}", expected=expected, found=found)
        outside = plugin_closure(kind, root)
        files = sorted({*files, *outside})
        folders.append(f"{kind.folder}/${{item.{kind.axis}}}")
    return folders + [file.as_posix() for file in files]


def plugin_closure(kind: Plugins, root: Path) -> list[Path]:
    """Return what the plugins of a kind reach outside their own folders: code common to all of them.

    Raises:
        ConfigError: one plugin imports another, so that a change in one would go unnoticed in the other.
    """
    packages = sorted(path.parent for path in (root / kind.folder).glob("*/__init__.py"))
    outside: set[Path] = set()
    for package in packages:
        own = package.relative_to(root)
        for file in import_closure(root, package_modules(module_name(own / "__init__.py"), root)):
            others = [
                p.relative_to(root) for p in packages if p != package and file.is_relative_to(p.relative_to(root))
            ]
            if others:
                expected = "no import of another package beside it"
                raise ConfigError(own, expected=expected, found=f"{file} reached", remedy="Share it one folder up.")
            if not file.is_relative_to(own):
                outside.add(file)
    return sorted(outside)


def with_code_deps(text: str, root: Path) -> str:
    """Return the pipeline file's text with every stage's code deps as its imports say, comments kept.

    Deps outside ``src/`` and ``stages/`` are data deps: they stay, in their order, before the code.
    """
    yaml = _yaml()
    pipeline = yaml.load(text)
    for stage, entry in pipeline["stages"].items():
        deps = entry.get("deps", CommentedSeq())
        data = [dep for dep in deps if not str(dep).startswith(CODE_FOLDERS)]
        wanted = data + code_deps(stage, entry, root)
        if wanted != list(deps):
            _replace(entry, wanted)
    buffer = io.StringIO()
    yaml.dump(pipeline, buffer)
    return buffer.getvalue()


def _replace(entry: CommentedMap, deps: list) -> None:
    old = entry.get("deps")
    if old is None:
        entry.insert(list(entry).index("cmd") + 1, "deps", CommentedSeq(deps))
        return
    old[:] = []
    old.extend(deps)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=2, offset=0)
    yaml.preserve_quotes = True
    return yaml


def main_deps(check: bool, root: Path = Path()) -> bool:
    """Write the code deps, or with ``check`` only say whether they are right; return whether they were.

    Raises:
        ConfigError: the pipeline file is missing, or a stage's code cannot be told.
    """
    path = root / PIPELINE_FILE
    if not path.is_file():
        raise ConfigError(path, expected="the pipeline", found="no such file", remedy="Run in the repository's root.")
    text = path.read_text(encoding="utf-8")
    wanted = with_code_deps(text, root)
    if wanted != text and not check:
        write_text(path, wanted)
    return wanted == text


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Keep dvc.yaml true to the code."""


@main.command("deps")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a code dependency is missing or too many.")
@click.pass_context
def deps_command(context: click.Context, check: bool) -> None:
    """Write each stage's code dependencies (its imports inside this repository) into dvc.yaml."""
    set_up_logging()
    with errors_in_one_line():
        right = main_deps(check)
        if not right and check:
            raise ConfigError(
                PIPELINE_FILE,
                expected="code deps equal to the stages' imports",
                found="a difference",
                remedy="Run: python -m soundgate.pipeline.deps deps",
            )
    logger.info("%s: code dependencies %s", PIPELINE_FILE, "unchanged" if right else "written")


if __name__ == "__main__":
    main()
