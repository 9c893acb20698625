"""Processor seconds that each judge takes for a minute of audio on one core, loading left out.

The audio is a synthetic voice at 22,050 Hz, in clips of ten seconds; a judge that only compares has each clip beside
itself in noise.

    python benchmarks/judges.py [--clips 3] [--judge NAME]...
"""

from __future__ import annotations

import time

import click
import numpy as np

from soundgate.corpora.espeak import SAMPLE_RATE, Voice, synthesise
from soundgate.judges.base import Judge
from soundgate.judges.registry import JUDGE_NAMES, load_judge
from soundgate.judges.trial.generated import SENTENCES
from soundgate.runtime.threads import own_threads

CLIP_S = 10


def clip(number: int) -> np.ndarray:
    """Return ten seconds of sentences, float32 [T]."""
    voice = Voice(voice="en-us+m3", pitch=45, pitch_range=50, rate_wpm=140)
    spoken = np.concatenate([synthesise(sentence, voice, number) for sentence in np.roll(SENTENCES, number)])
    return np.resize(spoken, CLIP_S * SAMPLE_RATE).astype(np.float32) / 2**15


def ask(judge: Judge, wav: np.ndarray) -> None:
    if judge.figures:
        judge.score(wav[None], SAMPLE_RATE)
    else:
        noise = np.random.default_rng(0).standard_normal(len(wav)) / 100
        judge.compare(wav[None], (wav + noise).astype(np.float32)[None], SAMPLE_RATE)


@click.command()
@click.option("--clips", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--judge", "names", multiple=True, type=click.Choice(JUDGE_NAMES), default=JUDGE_NAMES)
def main(clips: int, names: tuple[str, ...]) -> None:
    with own_threads():
        for name in names:
            judge = load_judge(name)
            ask(judge, clip(0)[:SAMPLE_RATE])  # What is compiled or built on a first call belongs to no clip.
            started = time.process_time()
            for number in range(clips):
                ask(judge, clip(number))
            took = (time.process_time() - started) / clips
            click.echo(f"{name:12}{60 / CLIP_S * took:8.1f} s a minute")


if __name__ == "__main__":
    main()
