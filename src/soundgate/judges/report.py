"""Judgements and trials as tables for a person."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from soundgate.judges.base import Judge
from soundgate.judges.files import Judged
from soundgate.judges.trial.run import Answer

WIDTH = 100
_ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}


def show_judged(judged: Mapping[str, Judged], judges: Sequence[Judge]) -> None:
    """Print a table a file, then what the judges must not be asked."""
    out = _console()
    for name, one in judged.items():
        out.print(f"[bold]{escape(name)}[/]")
        table = _table("figure", "value", "", "better", "says")
        for figure, value in one.figures.values():
            table.add_row(figure.name, _number(value), figure.unit, _ARROWS[figure.better], figure.says)
        if one.figures:
            out.print(table)
        for line in [f"heard: {one.text}"] * bool(one.text) + one.notes:
            out.print(f"  {escape(line)}")
    out.print("[bold]Says nothing of[/]")
    for judge in judges:
        out.print(f"  {judge.name}: {escape(judge.card.never_ask)}")


def show_answers(answers: Sequence[Answer]) -> None:
    """Print how judges did, a row a question."""
    table = _table("judge", "value", "95 % interval", "n", "twin", "chance", "verdict", "question")
    for answer in answers:
        own, asked = answer.estimate, answer.question
        interval = f"{own.ci_low:.3g} … {own.ci_high:.3g}"
        chance = "" if asked.chance != asked.chance else f"{asked.chance:g}"
        numbers = [
            _number(own.value),
            interval,
            f"{own.n} {asked.unit}s",
            "" if answer.twin != answer.twin else _number(answer.twin),
            chance,
        ]
        verdict = "[red]deaf[/]" if answer.deaf else "[green]hears[/]"
        table.add_row(answer.judge, *numbers, verdict, f"{_ARROWS[asked.better]} {escape(asked.text)}")
    _console().print(table)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        last = place == len(columns) - 1
        table.add_column(name, justify="left" if last or place == 0 else "right", no_wrap=not last)
    return table


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
