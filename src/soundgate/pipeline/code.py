"""The code that each stage runs, as hashes in ``code.yaml``: stages depend on their own, and so on no file of code."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from soundgate.runtime.code_hash import code_hash, library_versions
from soundgate.runtime.files import atomic_path, write_text
from soundgate.runtime.imports import import_closure, imported_names, module_name, package_modules

LIBRARIES_FILE = "libraries.txt"
STAGES_FOLDER = Path("stages")
# Packages of which a stage loads one by name, so that its imports do not tell which: by the module that loads them,
# what they are called and the folder where they lie.
PLUGINS = {
    "soundgate.codecs.registry": ("codec", Path("src/soundgate/codecs")),
    "soundgate.embeddings.registry": ("embedder", Path("src/soundgate/embeddings")),
}
_HEAD = "# Written by stage `code`: hashes of what each stage can reach of the code, and of the libraries it imports.\n"


def stage_modules(root: Path) -> dict[str, str]:
    """Return the module of every stage by the stage's name: ``voice-train`` is ``stages.voice.train``."""
    files = [path.relative_to(root) for path in (root / STAGES_FOLDER).glob("*/*.py")]
    names = sorted(module_name(file) for file in files if file.name != "__init__.py")
    return {"-".join(name.split(".")[1:]).replace("_", "-"): name for name in names}


def code_hashes(root: Path) -> dict[str, dict]:
    """Return the hashes of a repository's code.

    Returns:
        ``stages``: by stage; ``plugins``: by kind (``codec``, ``embedder``) and package.

    Raises:
        ConfigError: a file is not Python.
    """
    stages = {stage: code_hash(root, [module]) for stage, module in stage_modules(root).items()}
    plugins = {}
    for kind, folder in PLUGINS.values():
        packages = sorted(path.parent.relative_to(root) for path in (root / folder).glob("*/__init__.py"))
        modules = {package.name: package_modules(module_name(package / "__init__.py"), root) for package in packages}
        plugins[kind] = {name: code_hash(root, inside) for name, inside in modules.items()}
    return {"stages": stages, "plugins": plugins}


def plugin_kinds(root: Path, module: str) -> list[str]:
    """Return the kinds of plugins that a stage's module can load by name."""
    reached = {module_name(file) for file in import_closure(root, [module])}
    return [kind for loader, (kind, _) in PLUGINS.items() if loader in reached]


def write_code(root: Path, out: Path) -> None:
    """Write the hashes of a repository's code; see `code_hashes`."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(_HEAD)
        yaml.dump(code_hashes(root), file)


def refresh_libraries(root: Path = Path()) -> bool:
    """Write which versions of the libraries are installed that the code imports; return whether that changed the file.

    Stage ``code`` depends on it: DVC notices by it that a library was updated.
    """
    files = sorted(path.relative_to(root) for folder in ("src", "stages") for path in (root / folder).rglob("*.py"))
    names = {name.partition(".")[0] for file in files for name in imported_names(root / file, module_name(file))}
    text = "".join(f"{name}=={number}\n" for name, number in library_versions(names).items())
    path = root / LIBRARIES_FILE
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True
