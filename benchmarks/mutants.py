"""Do the tests notice when one token of the code is wrong? A sample of such mutants, module by module.

Cosmic Ray says which tokens can be changed, and how. Here a sample is drawn (the same for the same seed), every mutant
is tested in a process forked from one that has loaded NumPy, SciPy and PyTorch, and no file of the code is touched: the
process loads the changed text of the module in place of the file's. `mutants.toml` has the modules, the tests nearest
to each, the changes used, and what was judged of those that no test notices.

Outcomes are kept in `scratch/mutants.jsonl`: an interrupted run goes on where it stood. A mutant is tested again when
its module changed; one that survived also when its tests changed.

    python benchmarks/mutants.py [--count 8] [--seed 0] [--modules audio/filters,structure]

Differs: processes that a test starts load the code unchanged.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

import click
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = Path(__file__).with_suffix(".toml")
# Looking for plugins takes longer than most tests.
PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "_hypothesis_pytestplugin,pytest_benchmark.plugin"}
RESULTS = Path(__file__).parent / "results" / "mutants.md"
OUTCOMES = ROOT / "scratch" / "mutants.jsonl"
MEMORY_BYTES = 8 << 30
SURVIVED = "survived"


@dataclass(frozen=True)
class Mutant:
    """One change of one token.

    Attributes:
        operator: Cosmic Ray's name of the kind of change.
        occurrence: which place of that kind, in the order of the file.
        line: counted from 1.
        before: the line as it is, stripped.
        after: the line as it becomes.
        text: the whole module with the change.
    """

    operator: str
    occurrence: int
    line: int
    before: str
    after: str
    text: str


class MutantFinder:
    """Loads one module from a given text, everything else as ever."""

    def __init__(self, name: str, path: Path, text: str):
        self.name, self.path, self.text = name, path, text

    def find_spec(self, name, path=None, target=None):
        """Return the module's spec if it is the one."""
        if name != self.name:
            return None
        loader = SourceFileLoader(name, str(self.path))
        loader.get_code = lambda fullname: compile(self.text, str(self.path), "exec")
        return spec_from_file_location(name, self.path, loader=loader)


def in_annotation(node) -> bool:
    """Tell whether a node stands in an annotation, which is never evaluated."""
    while node.parent is not None:
        siblings = node.parent.children
        # In `name: annotation = value` of a parameter (tfpdef) and a variable (annassign), and `-> annotation`.
        if {"tfpdef": siblings[-1], "annassign": siblings[:2][-1]}.get(node.parent.type) is node:
            return True
        if node.parent.type == "funcdef" and node is node.parent.annotation:
            return True
        node = node.parent
    return False


def mutants(text: str, operators: list[str], draw: random.Random, count: int) -> list[Mutant]:
    """Draw mutants: as many tokens as there are first, each changed one way, then other ways."""
    tree = get_ast(text)
    places = []
    for name in operators:
        operator = get_operator(name)()
        found = [(node, at) for node in ast_nodes(tree) for at in operator.mutation_positions(node)]
        places += [(start, name, i) for i, (node, (start, _)) in enumerate(found) if not in_annotation(node)]
    draw.shuffle(places)
    ways: Counter = Counter()
    ranked = []
    for start, name, i in places:
        ranked.append((ways[start], start, name, i))
        ways[start] += 1
    ranked.sort(key=lambda place: place[0])
    return [_mutant(text, start[0], name, i) for _, start, name, i in ranked[:count]]


def _mutant(text: str, line: int, name: str, occurrence: int) -> Mutant:
    changed = mutate_code(text, get_operator(name)(), occurrence)
    old, new = text.splitlines(), changed.splitlines()
    # An expression over several lines: the line of its first change.
    line = next((i + 1 for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), line)
    return Mutant(name, occurrence, line, old[line - 1].strip(), new[line - 1].strip(), changed)


def forked(limit_s: float, tests: list[str], finder: MutantFinder | None = None) -> tuple[str, float]:
    """Run tests in a forked process.

    Args:
        limit_s: seconds of the processor that it may take; of the clock ten times as many, beside other work.
        tests: files or single tests.
        finder: loads the mutant; None for the code as it is.

    Returns:
        "passed", "failed" or "timeout", and the seconds of the processor it took.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = _run_tests(math.ceil(limit_s), tests, finder)
        finally:
            os._exit(code)
    ends = time.monotonic() + 10 * limit_s
    done, status, used = os.wait4(pid, os.WNOHANG)
    while not done:
        if time.monotonic() > ends:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.02)
        done, status, used = os.wait4(pid, os.WNOHANG)
    late = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
    return "timeout" if late else "passed" if status == 0 else "failed", used.ru_utime + used.ru_stime


def _run_tests(limit_s: int, tests: list[str], finder: MutantFinder | None) -> int:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    if finder is not None:
        sys.meta_path.insert(0, finder)
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "-m", "not slow", *tests]))


class Ledger:
    """Outcomes of earlier runs, and of this one as they come.

    Args:
        path: of the file that keeps them.
        final: whether what survived stays so even where its tests changed.
    """

    def __init__(self, path: Path, final: bool):
        path.parent.mkdir(exist_ok=True)
        self.path, self.final = path, final
        self.known: dict[str, dict] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            if line.endswith("}"):  # The last line of a killed run may be cut.
                record = json.loads(line)
                self.known[record["mutant"]] = record

    def get(self, mutant: str, tests: str) -> str | None:
        """Return the outcome of a mutant, unless its tests have to be asked anew."""
        record = self.known.get(mutant)
        if record is None or (record["outcome"] == SURVIVED and record["tests"] != tests and not self.final):
            return None
        return record["outcome"]

    def add(self, mutant: str, tests: str, outcome: str) -> None:
        """Keep an outcome."""
        record = {"mutant": mutant, "tests": tests, "outcome": outcome}
        self.known[mutant] = record
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


def digest(*texts: str) -> str:
    """Return a short hash of texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]


def test_module(file: str, tests: list[str], drawn: list[Mutant], ledger: Ledger) -> list[tuple[Mutant, str]]:
    """Return the outcome of each mutant of a module: "noticed", "timeout" or "survived"."""
    path = ROOT / "src" / "soundgate" / file
    name = "soundgate." + file.removesuffix(".py").replace("/", ".")
    source = path.read_text()
    paths = sorted({test.partition("::")[0] for test in tests})
    asked = digest(*tests, *((ROOT / test).read_text() for test in paths))
    outcomes, limit_s = [], None
    for mutant in drawn:
        key = f"{file} {digest(source)} {mutant.operator} {mutant.occurrence}"
        if ledger.final and key not in ledger.known:
            continue
        outcome = ledger.get(key, asked)
        if outcome is None:
            limit_s = limit_s or _limit_s(file, tests)
            ended, _ = forked(limit_s, tests, MutantFinder(name, path, mutant.text))
            outcome = {"passed": SURVIVED, "failed": "noticed", "timeout": "timeout"}[ended]
            ledger.add(key, asked, outcome)
        outcomes.append((mutant, outcome))
    return outcomes


def _limit_s(file: str, tests: list[str]) -> float:
    """Return how long a mutant may take: five times what the tests take of the code as it is, and ten seconds."""
    ended, used_s = forked(600, tests)
    if ended != "passed":
        raise SystemExit(f"{file}: its tests fail, or there are none: {' '.join(tests)}")
    return 10 + 5 * used_s


def cell(text: str) -> str:
    """Return code as a cell of a table in Markdown."""
    return "`" + text.replace("|", "\\|") + "`"


def report(results: dict[str, list[tuple[Mutant, str]]], judged: list[dict], count: int, seed: int) -> str:
    """Return the table and the survivors with their judgements, as Markdown."""
    why = {(j.get("module"), j["before"], j["after"]): j["why"] for j in judged}
    head = "| Module | Mutants | Noticed | Equivalent | Open | Noticed of those not equivalent |"
    rows, survivors, total = [], [], Counter()
    for file, outcomes in results.items():
        if not outcomes:
            continue
        left = [mutant for mutant, outcome in outcomes if outcome == SURVIVED]
        reasons = [why.get((file, m.before, m.after)) or why.get((None, m.before, m.after)) for m in left]
        sizes = Counter(mutants=len(outcomes), survived=len(left), equivalent=sum(r is not None for r in reasons))
        total += sizes
        rows.append(_row(file, sizes))
        for mutant, reason in sorted(zip(left, reasons, strict=True), key=lambda pair: pair[0].line):
            change = f"{cell(mutant.before)} | {cell(mutant.after)}"
            survivors.append(f"| {file}:{mutant.line} | {change} | {reason or '**open**'} |")
    lines = ["# Mutants", "", f"Written by `make mutants`; at most {count} mutants a module, seed {seed}.", ""]
    lines += [head, "|---" * 6 + "|", *rows, _row("**all**", total), ""]
    lines += ["## Survivors", "", "| Where | Line | Becomes | Judgement |", "|---|---|---|---|", *survivors]
    return "\n".join(lines) + "\n"


def _row(name: str, sizes: Counter) -> str:
    noticed, able = sizes["mutants"] - sizes["survived"], sizes["mutants"] - sizes["equivalent"]
    open_ = able - noticed
    return (
        f"| {name} | {sizes['mutants']} | {noticed} | {sizes['equivalent']} | {open_} | {noticed / max(able, 1):.0%} |"
    )


@click.command()
@click.option("--count", default=8, show_default=True, help="Mutants a module, at most.")
@click.option("--seed", default=0, show_default=True, help="Of the sample.")
@click.option("--modules", default="", help="Parts of their paths, with commas; the table is then printed.")
@click.option("--known", is_flag=True, help="Test nothing: write the table of the outcomes kept.")
@click.option("--fresh", is_flag=True, help="Forget the outcomes of earlier runs.")
def main(count: int, seed: int, modules: str, known: bool, fresh: bool) -> None:
    """Test mutants and write `benchmarks/results/mutants.md`."""
    settings = tomllib.loads(SETTINGS.read_text())
    wanted = {f: t for f, t in settings["tests"].items() if any(part in f for part in modules.split(","))}
    os.chdir(ROOT)
    os.environ |= PLUGINS
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    for name in settings["loaded"]:
        importlib.import_module(name)
    if fresh:
        OUTCOMES.unlink(missing_ok=True)
    ledger, results = Ledger(OUTCOMES, known), {}
    with tempfile.TemporaryDirectory() as examples:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = examples  # What fails on a mutant is no example for later runs.
        for file, tests in wanted.items():
            text = (ROOT / "src" / "soundgate" / file).read_text()
            drawn = mutants(text, settings["operators"], random.Random(f"{seed} {file}"), count)
            results[file] = test_module(file, tests, drawn, ledger)
            print(file, dict(Counter(outcome for _, outcome in results[file])), flush=True)
            if not modules:
                RESULTS.write_text(report(results, settings.get("judged", []), count, seed))
    if modules:
        print(report(results, settings.get("judged", []), count, seed))


if __name__ == "__main__":
    main()
