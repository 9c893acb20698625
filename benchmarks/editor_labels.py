"""Time and memory of labelling a long pair on one core, against librosa's full DTW on the same frames.

The pair is generated: a song of the source list, made into a raw recording of the length asked for. Each method runs
in a process of its own, which reports the peak of its resident memory above what it had with everything loaded.

    python benchmarks/editor_labels.py [--raw-s 300]
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from pathlib import Path

import click
import numpy as np
import torch

from soundgate.corpora.generated_music import Rendering, read_music_source
from soundgate.corpora.generated_music import render as render_song
from soundgate.corpora.scores import draw_score
from soundgate.runtime.config import load_section
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.beats import track_beats
from soundgate.tracks.editor.pairs.assembling import assemble
from soundgate.tracks.editor.pairs.building import PairsSettings
from soundgate.tracks.editor.pairs.drawing import draw_plan
from soundgate.tracks.editor.recovery.dtw import labels_by_dtw
from soundgate.tracks.editor.recovery.recover import recover
from soundgate.tracks.editor.recovery.settings import LabelsSettings
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import beat_spans, labels_of

RESULTS = Path(__file__).parent / "results"
RATE = 22_050


def make_pair(raw_s: float):
    """Return raw, edit, beats and the true labels."""
    source_list = read_music_source("sources/generated_music.yaml")
    score = draw_score("bench", 0, raw_s * 0.6)
    style, source = next(iter(source_list.styles)), source_list.sources[0].name
    song = render_song(score, Rendering("bench", "bench", style, source), source_list, 0)
    beats = np.rint(score.beats["time_s"].to_numpy() * RATE).astype(np.int64)
    n_bars = min((len(beats) - 1) // 4, int(raw_s / 2.7 * RATE / (beats[4] - beats[0])))
    # Loops make the edit, and so the raw recording, longer than the bars that are played.
    generator = keyed_generator(0, "benchmark")
    plan = draw_plan(n_bars, 2.2, load_section("editor.pairs", PairsSettings).draw, generator)
    made = assemble(song, RATE, beats[: 4 * n_bars + 1], plan, generator)
    raw, edit = (wave[0].astype(np.float32) / 2**15 for wave in (made.raw, render(made.raw, made.edit)))
    return raw, edit, made.beats, labels_of(made.edit, beat_spans(made.beats, made.edit.n_samples))


def measure(method: str, raw_s: float, channel) -> None:
    """Run one method and send seconds, MB above the start, and accuracy."""
    torch.set_num_threads(1)
    raw, edit, beats, truth = make_pair(raw_s)
    settings = load_section("editor.labels", LabelsSettings)
    # What is compiled or cached on a first call belongs to no pair.
    recover(raw[: 10 * RATE], edit[: 5 * RATE], RATE, beats[beats < 10 * RATE], settings.recovery)
    labels_by_dtw(raw[: 10 * RATE], edit[: 5 * RATE], RATE, beat_spans(beats[beats < 10 * RATE], 10 * RATE), 4)
    track_beats(raw[: 10 * RATE], RATE, settings.tempo_bpm)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    accuracy = float("nan")
    if method == "recovered":
        accuracy = float(np.mean(recover(raw, edit, RATE, beats, settings.recovery).labels == truth))
    elif method == "beat tracking":
        track_beats(raw, RATE, settings.tempo_bpm)
    else:
        accuracy = float(np.mean(labels_by_dtw(raw, edit, RATE, beat_spans(beats, len(raw)), 1) == truth))
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    channel.put((len(raw) / RATE, len(edit) / RATE, seconds, (after - before) / 1024, accuracy))


@click.command()
@click.option("--raw-s", default=300.0, show_default=True)
def main(raw_s: float) -> None:
    """Run and write `benchmarks/results/editor_labels.md`."""
    lines = ["| method | raw, s | edit, s | time, s | memory, MB | accuracy |", "| --- | --- | --- | --- | --- | --- |"]
    context = multiprocessing.get_context("spawn")
    for method in ("recovered", "beat tracking", "librosa, full DTW"):
        channel = context.Queue()
        process = context.Process(target=measure, args=(method, raw_s, channel))
        process.start()
        raw, edit, seconds, megabytes, accuracy = channel.get()
        process.join()
        lines.append(f"| {method} | {raw:.0f} | {edit:.0f} | {seconds:.2f} | {megabytes:.0f} | {accuracy:.3f} |")
    text = "\n".join(["# Labels of a long pair, one thread", "", *lines, ""])
    (RESULTS / "editor_labels.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
