"""What tests read out of dvc.yaml and the stage modules."""

import ast
import importlib
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]


@cache
def stage_entries():
    return dict(YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"])


def stage_module(stage):
    """Return the module that a stage runs: its command is ``python -m <module> ...``."""
    return stage_entries()[stage]["cmd"].split()[2]


@cache
def sections_read(stage):
    """Return ``{section: model}`` of the ``load_section`` calls in a stage's module."""
    module = importlib.import_module(stage_module(stage))
    calls = [node for node in ast.walk(ast.parse(Path(module.__file__).read_text())) if isinstance(node, ast.Call)]
    loads = [call for call in calls if getattr(call.func, "id", "") == "load_section"]
    loads = [call for call in loads if isinstance(call.args[0], ast.Constant)]  # Of others the item says which.
    # One module judges the gates of every track: its section is named as the stage is.
    named = {call: getattr(call.args[0], "value", None) or stage.replace("-", ".") for call in loads}
    return {section: getattr(module, call.args[1].id) for call, section in named.items()}


def leaves(value, prefix=""):
    """Yield the dotted path of every leaf of nested mappings; an empty mapping is a leaf."""
    if not isinstance(value, dict) or not value:
        yield prefix
        return
    for key, inner in value.items():
        yield from leaves(inner, f"{prefix}.{key}" if prefix else key)
