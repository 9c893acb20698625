"""What `rooms.py` measured, summed up and written as a page; and the facts of its set-up that the page names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REFERENCE, OURS = "reference", "ours"
N_RESPONSES = 8
SHORTEST_IR_S, LONGEST_IR_S = 0.3, 2.0
TRIPLES_PER_BATCH = 60
SCALING_TRIPLES = 480
MEMORY_BATCH = 500
SPEC_FLOOR_S = 0.013
FLOOR_PARTS = (
    "spectrum of the dry clip", "products with two responses", "two inverse transforms", "write and hash",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """Triples and what they took: wall-clock and processor seconds, and the wall-clock of each stage."""

    n_triples: int
    seconds: float
    cpu_seconds: float
    stages: dict[str, float]


def summary(turns: dict[str, list[Made]]) -> dict:
    rates = {way: np.array([one.n_triples / one.seconds for one in made]) for way, made in turns.items()}
    cpu_rates = {way: np.array([one.n_triples / one.cpu_seconds for one in made]) for way, made in turns.items()}
    result: dict = {"ways": {}, "ratios": {}}
    for way, made in turns.items():
        stages = {
            name: float(np.median([1e3 * one.stages[name] / one.n_triples for one in made])) for name in made[0].stages
        }
        result["ways"][way] = {
            "n_triples": made[0].n_triples, "seconds": [one.seconds for one in made],
            "cpu_seconds": [one.cpu_seconds for one in made], "triples_per_second": float(np.median(rates[way])),
            "stages_ms_per_triple": stages,
        }  # fmt: skip
    for state in ("off", "on"):
        mine, other = (f"{who}, noise reduction {state}" for who in (OURS, REFERENCE))
        for name, table in (("wall", rates), ("cpu", cpu_rates)):
            ratios = table[mine] / table[other]
            result["ratios"].setdefault(state, {})[name] = {
                "median": float(np.median(ratios)), "range": [float(ratios.min()), float(ratios.max())],
            }  # fmt: skip
    return result


def report(result: dict) -> str:
    parts = result["parts"]
    floor = sum(parts[name] for name in FLOOR_PARTS)
    render_ms = result["ways"][f"{OURS}, noise reduction off"]["stages_ms_per_triple"]["render"]
    reference_ms = 1e3 / result["ways"][f"{REFERENCE}, noise reduction off"]["triples_per_second"]
    lines = [
        f"# Reverberation triples on {result['hardware']}", "",
        f"Medians of {result['rounds']} interleaved rounds, each way in a process of its own with one thread; "
        f"{result['n_utterances']} generated voices at 22.05 kHz (a quarter of them clean), {2 * N_RESPONSES} "
        f"synthetic impulse responses of {SHORTEST_IR_S:g} to {LONGEST_IR_S:g} s, clips of 5 s at 48 kHz, "
        f"batches of {TRIPLES_PER_BATCH}. Catalogue and embeddings are ready in both. The reference is "
        "`benchmarks/rooms_reference.py`. Ratios are medians over rounds.", "",
        "| way | triples/s/core | ms a triple |", "| --- | ---: | ---: |",
    ]  # fmt: skip
    for way, row in result["ways"].items():
        lines.append(f"| {way} | {row['triples_per_second']:.2f} | {1e3 / row['triples_per_second']:.1f} |")
    lines += [
        "",
        "| noise reduction | times the reference | range | in processor time |",
        "| --- | ---: | ---: | ---: |",
    ]
    for state, ratio in result["ratios"].items():
        low, high = ratio["wall"]["range"]
        lines.append(
            f"| {state} | {ratio['wall']['median']:.2f} | {low:.2f} to {high:.2f} | {ratio['cpu']['median']:.2f} |"
        )
    lines += [
        "",
        "| ms a triple of ours | sterilise | plan | render | manifest |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for state in ("off", "on"):
        stages = result["ways"][f"{OURS}, noise reduction {state}"]["stages_ms_per_triple"]
        lines.append(f"| noise reduction {state} | " + " | ".join(f"{value:.2f}" for value in stages.values()) + " |")
    lines += ["", "## The floor", "", "| part of rendering, alone | ms a triple |", "| --- | ---: |"]
    lines += [f"| {name} | {1e3 * seconds:.2f} |" for name, seconds in parts.items()]
    lines += [
        "", f"Transforms, products, write and hash: {1e3 * floor:.1f} ms here ({1e3 * SPEC_FLOOR_S:.0f} ms by the "
        f"specification). Rendering takes {render_ms:.1f} ms, {render_ms / (1e3 * floor):.1f} times that; the "
        f"effects alone take {1e3 * parts['effects']:.1f} ms. Were all but the floor free, sterilising and effects "
        f"included, the ratio without noise reduction would be {reference_ms / (1e3 * floor):.1f}.", "",
        "## Two workers", "",
        f"Rendering alone, {SCALING_TRIPLES} triples in batches of {TRIPLES_PER_BATCH}, workers already started: "
        + ", ".join(f"{np.median(rates):.1f} triples/s with {workers}" for workers, rates in result["scaling"].items())
        + f"; {result['speed_up']['median']:.2f} times (range {result['speed_up']['range'][0]:.2f} to "
        f"{result['speed_up']['range'][1]:.2f}).",
    ]  # fmt: skip
    if result.get("memory"):
        lines += [
            "", "## Memory", "", f"Rendering alone, one worker, batches of {MEMORY_BATCH}, clips of 5 s.", "",
            "| triples | seconds | peak resident memory, GB |", "| ---: | ---: | ---: |",
        ]  # fmt: skip
        lines += [
            f"| {row['n_triples']:,} | {row['seconds']:.0f} | {row['peak_bytes'] / 1e9:.3f} |"
            for row in result["memory"]
        ]
    return "\n".join(lines) + "\n"
