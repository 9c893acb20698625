"""Reaper's project files as text: blocks of lines, quoted values."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from soundgate.runtime.files import atomic_path

_VALUE = re.compile(r"\"([^\"]*)\"|'([^']*)'|`([^`]*)`|(\S+)")
_QUOTES = "\"'`"


@dataclass
class Node:
    """A block ``<NAME ...`` to ``>`` with its lines and blocks.

    Args:
        head: of the block, without the bracket.
        lines: that are no blocks.
        blocks: inside it.
    """

    head: str
    lines: list[str] = field(default_factory=list)
    blocks: list[Node] = field(default_factory=list)

    def values(self, key: str) -> list[str]:
        """Return the values that stand after a key, without their quotes; none where there is no such line."""
        for line in self.lines:
            name, *values = ["".join(match.groups("")) for match in _VALUE.finditer(line)] or [""]
            if name == key:
                return values
        return []

    def numbers(self, key: str) -> list[float]:
        """Return the numbers that stand after a key."""
        return [float(value) for value in self.values(key)]

    def named(self, name: str) -> list[Node]:
        """Return the blocks of a name."""
        return [block for block in self.blocks if block.head.split()[0] == name]

    def text(self, indent: int = 0) -> str:
        """Return the block as the project file has it."""
        space = "  " * indent
        own = "".join(f"{space}  {line}\n" for line in self.lines)
        return f"{space}<{self.head}\n{own}" + "".join(b.text(indent + 1) for b in self.blocks) + f"{space}>\n"


def quoted(text: str) -> str:
    """Return a value in the first kind of quotes that it does not have; there is no other escape.

    Raises:
        ValueError: it has all three kinds, or a line break.
    """
    quote = next((mark for mark in _QUOTES if mark not in text), None)
    if quote is None or len(text.splitlines()) > 1:
        raise ValueError("a line break, or all of \" ' and `")
    return f"{quote}{text}{quote}"


def write_project(path: str | Path, project: Node) -> None:
    """Write a project atomically; what is no UTF-8 in it stays the bytes that it was."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(os.fsencode(project.text()))


def read_project(path: str | Path) -> Node:
    """Return the one block of a project file.

    Raises:
        ValueError: it has blocks that do not close, or not one project.
        OSError: it cannot be read.
    """
    root = Node("")
    open_blocks = [root]
    for line in (line.strip() for line in os.fsdecode(Path(path).read_bytes()).splitlines()):
        if line.startswith("<"):
            block = Node(line[1:])
            open_blocks[-1].blocks.append(block)
            open_blocks.append(block)
        elif line == ">":
            open_blocks.pop()
        elif line:
            open_blocks[-1].lines.append(line)
    if len(open_blocks) != 1 or len(root.blocks) != 1:
        raise ValueError("blocks that do not close, or not one project")
    return root.blocks[0]
