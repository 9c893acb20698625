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
    track, _, verb = stage.partition("-")
    return f"stages.{track}.{verb.replace('-', '_')}"


@cache
def sections_read(stage):
    """Return ``{section: model}`` of the ``load_section`` calls in a stage's module."""
    module = importlib.import_module(stage_module(stage))
    calls = [node for node in ast.walk(ast.parse(Path(module.__file__).read_text())) if isinstance(node, ast.Call)]
    loads = [call for call in calls if getattr(call.func, "id", "") == "load_section"]
    return {call.args[0].value: getattr(module, call.args[1].id) for call in loads}


def leaves(value, prefix=""):
    """Yield the dotted path of every leaf of nested mappings; an empty mapping is a leaf."""
    if not isinstance(value, dict) or not value:
        yield prefix
        return
    for key, inner in value.items():
        yield from leaves(inner, f"{prefix}.{key}" if prefix else key)
