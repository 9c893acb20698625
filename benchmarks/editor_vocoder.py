"""How many times faster than real time frames become sound on one core: the vocoder and Griffin-Lim.

The frames are of a generated song; the network is the one that `editor-vocoder` trains, with drawn weights, which cost
as much as trained ones. Each method runs in a process of its own, which reports the peak of its resident memory above
what it had with everything loaded.

    python benchmarks/editor_vocoder.py [--seconds 120]
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from pathlib import Path

import click
import torch

from soundgate.corpora.generated_music import Rendering, read_music_source, render
from soundgate.corpora.scores import draw_score
from soundgate.runtime.config import load_section
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.vocoder.inverting import griffin_lim_unit
from soundgate.tracks.editor.vocoder.model import Vocoder, VocoderNetwork
from soundgate.tracks.editor.vocoder.settings import VocoderSettings

RESULTS = Path(__file__).parent / "results"


def make_frames(seconds: float, features: Features):
    """Return frames [F, n_mels] of a song."""
    source_list = read_music_source("sources/generated_music.yaml")
    score = draw_score("bench", 0, seconds)
    style, source = next(iter(source_list.styles)), source_list.sources[0].name
    return features(render(score, Rendering("bench", "bench", style, source), source_list, 0))


def measure(method: str, seconds: float, channel) -> None:
    """Run one method and send seconds of sound, seconds of work, and MB above the start."""
    torch.set_num_threads(1)
    settings = load_section("editor.vocoder", VocoderSettings)
    features = Features(load_section("editor.cache.features", FeatureSettings))
    unit = make_frames(seconds, features)
    vocoder = Vocoder(VocoderNetwork(settings.network, features.settings))

    def invert(frames):
        if method == "vocoder":
            return vocoder(frames)
        return griffin_lim_unit(features, frames, settings.griffin_lim_iterations)

    invert(unit[:100])  # What is built on a first call belongs to no song.
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    made = invert(unit)
    took = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    channel.put((len(made) / features.settings.sample_rate, took, (after - before) / 1024))


@click.command()
@click.option("--seconds", default=120.0, show_default=True)
def main(seconds: float) -> None:
    """Run and write `benchmarks/results/editor_vocoder.md`."""
    lines = ["| method | sound, s | time, s | times real time | memory, MB |", "| --- | --- | --- | --- | --- |"]
    context = multiprocessing.get_context("spawn")
    for method in ("vocoder", "Griffin-Lim"):
        channel = context.Queue()
        process = context.Process(target=measure, args=(method, seconds, channel))
        process.start()
        sound, took, megabytes = channel.get()
        process.join()
        lines.append(f"| {method} | {sound:.0f} | {took:.2f} | {sound / took:.0f} | {megabytes:.0f} |")
    text = "\n".join(["# Frames to sound, one thread", "", *lines, ""])
    (RESULTS / "editor_vocoder.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
