"""Where gates are kept: ``metrics/<profile>/<track>/gates.json``, in the working tree and in Git's history."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

from soundgate.evaluation.verdicts import FAIL, PASS, UNDECIDED
from soundgate.pipeline.tracks import TRACKS
from soundgate.runtime.errors import FormatError, GateError

GATES, SEEDS = "gates.json", "seeds.json"

Gates = dict[str, dict]


def gates_path(profile: str, track: str, name: str = GATES) -> Path:
    """Return a track's file, relative to the repository."""
    return Path("metrics", profile, track, name)


def read_gates(root: Path, profile: str, tracks: tuple[str, ...] = TRACKS) -> dict[str, Gates]:
    """Return the gates of each track that has been run, by gate.

    Raises:
        FormatError: a file that does not hold gates.
    """
    paths = {track: root / gates_path(profile, track) for track in tracks}
    return {track: parse_gates(path, path.read_bytes()) for track, path in paths.items() if path.is_file()}


def parse_gates(subject: object, content: bytes) -> Gates:
    """Return the gates that a file holds.

    Raises:
        FormatError: it does not hold any; ``subject`` names it.
    """
    try:
        gates = json.loads(content)
        sound = isinstance(gates, dict) and all(map(_is_gate, gates.values()))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        sound = False
    if not sound:
        remedy = "Run: soundgate repro"
        raise FormatError(
            subject, expected="a track's gates with their verdicts", found="something else", remedy=remedy
        )
    return gates


def _is_gate(gate: dict) -> bool:
    """Return whether a gate has what `soundgate.evaluation.gates.verdict` writes, and no number that JSON has not."""
    numbers = [gate.get(key) for key in ("value", "margin", "ci_low", "ci_high", "n", "seeds")]
    return (
        {"value", "margin"} <= set(gate)
        and gate.get("verdict") in (PASS, FAIL, UNDECIDED)
        and gate.get("side") in ("above", "below")
        and math.isfinite(gate.get("threshold"))
        and all(number is None or math.isfinite(number) for number in numbers)
    )


class Revision:
    """A state of the repository that Git knows.

    Args:
        root: the repository, or a folder inside one.
        name: a commit, branch or tag as Git writes it, or the name of a DVC experiment.

    Attributes:
        name: as given.
        commit: what it stands for.

    Raises:
        GateError: there is no Git, no repository, or nothing of that name.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        asked = self._run("rev-parse", "--git-dir")
        if asked.returncode:
            said = " ".join(asked.stderr.decode("utf-8", "replace").split())
            raise GateError(root.resolve(), expected="a Git repository to compare with", found=f"none ({said})")
        self.commit = self._resolve()

    def read(self, path: Path) -> bytes | None:
        """Return a file's bytes, or None where there is no such file.

        Args:
            path: relative to ``root``.
        """
        return self._git("cat-file", "blob", f"{self.commit}:./{path.as_posix()}")

    def read_gates(self, profile: str, tracks: tuple[str, ...] = TRACKS) -> dict[str, Gates]:
        """Return the gates of each track as committed; see `read_gates`."""
        found = {track: self.read(gates_path(profile, track)) for track in tracks}
        return {
            track: parse_gates(f"{self.name}:{gates_path(profile, track)}", content)
            for track, content in found.items()
            if content is not None
        }

    def files(self, *folders: Path) -> list[str]:
        """Return the committed files inside folders, relative to ``root``."""
        return self._lines("ls-tree", "-r", "-z", "--name-only", self.commit, "--", *map(str, folders))

    def changed(self, *folders: Path) -> set[str]:
        """Return the committed files inside folders that the working tree has not as committed."""
        where = ("--", *map(str, folders))
        options = ("--no-renames", "--relative", "--name-only", "--diff-filter=a", "-z")
        return set(self._lines("diff", *options, self.commit, *where))

    def _resolve(self) -> str:
        commit = self._git("rev-parse", "--verify", "-q", "--end-of-options", f"{self.name}^{{commit}}")
        if commit:
            return commit.decode().strip()
        for line in self._lines("for-each-ref", "--format=%(objectname) %(refname)%00", "refs/exps/"):
            found, _, ref = line.strip().partition(" ")
            if ref.rpartition("/")[2] == self.name:
                return found
        shallow = (self._git("rev-parse", "--is-shallow-repository") or b"").strip() == b"true"
        remedy = "This clone is shallow; fetch the rest with: git fetch --unshallow" if shallow else ""
        expected = "a commit, branch, tag or DVC experiment"
        raise GateError(self.name, expected=expected, found="nothing of that name", remedy=remedy)

    def _lines(self, *arguments: str) -> list[str]:
        output = self._git(*arguments)
        if output is None:
            raise GateError(f"git {arguments[0]}", expected=f"an answer about {self.name}", found="an error")
        return [line for line in output.decode("utf-8", "surrogateescape").split("\0") if line.strip()]

    def _git(self, *arguments: str) -> bytes | None:
        """Return what Git prints, or None where it fails."""
        done = self._run(*arguments)
        return done.stdout if done.returncode == 0 else None

    def _run(self, *arguments: str) -> subprocess.CompletedProcess:
        try:
            return subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, check=False)
        except FileNotFoundError as error:
            raise GateError(
                "git", expected="Git, to compare with what is committed", found="no such program"
            ) from error
