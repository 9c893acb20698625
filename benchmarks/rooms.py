"""How fast reverberation triples are made, against the first recipe written straight (`rooms_reference.py`).

Both start from the same folder of voices, the same impulse responses ready for use and the same embeddings, and
end with hashed batches and a manifest: ours by sterilise, plan, render and manifest, the reference by its phases
4 to 7. All ways take turns in every round, each in a process of its own with one thread, and ratios are taken
inside a round. Then: one triple's parts, each alone, as a floor; rendering with 1 and 2 workers; and, with
`--memory`, the peak memory of rendering 1,000 and 10,000 triples (9.6 GB, in a temporary folder).

    python benchmarks/rooms.py [--rounds 5] [--utterances 96] [--memory]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import numpy as np
import pandas as pd
import rooms_reference
from extraction import hardware
from joblib.externals.loky import get_reusable_executor
from rooms_report import (
    LONGEST_IR_S,
    MEMORY_BATCH,
    N_RESPONSES,
    OURS,
    REFERENCE,
    SCALING_TRIPLES,
    SHORTEST_IR_S,
    TRIPLES_PER_BATCH,
    Made,
    report,
    summary,
)
from scipy.fft import irfft, rfft

from soundgate.audio.effects import Effect, apply_effects
from soundgate.audio.io import write_audio
from soundgate.corpora.index import Entry, build_index, write_corpus
from soundgate.corpora.noisy_voices import AUDIO_FOLDER, CLEAN_FOLDER, generate_voices
from soundgate.runtime.config import load_section
from soundgate.runtime.console import logger, set_up_logging, track
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import sha256_of, write_json, write_text
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.batches import own_batches, to_int16, write_batch
from soundgate.tracks.rooms.embed import load_embeddings, save_embeddings
from soundgate.tracks.rooms.irs import IrSettings, build_catalogue, load_catalogue
from soundgate.tracks.rooms.manifest import build_manifest, mismatches
from soundgate.tracks.rooms.plan import PLAN_NAME, Draws, PlanSettings, write_plan
from soundgate.tracks.rooms.quality import reject_reason
from soundgate.tracks.rooms.rendering import RenderSettings, RunFolder, render
from soundgate.tracks.rooms.segments import load_segments
from soundgate.tracks.rooms.sterilise import SteriliseSettings, sterilise
from soundgate.tracks.rooms.triple import Renderer

RESULTS = Path(__file__).parent / "results"
SAMPLE_RATE, CLIP_SAMPLES = 48_000, 240_000
VOICE_LIST = "sources/generated_voices.yaml"
N_SPEAKERS = 12
SCALING_WORKERS = 1, 2
MEMORY_TRIPLES = 1_000, 10_000
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
WAYS = {f"{who}, noise reduction {state}": (who, state == "on") for state in ("off", "on") for who in (REFERENCE, OURS)}


@dataclass(frozen=True)
class Corpus:
    """What both ways start from, made once."""

    root: Path

    @property
    def voices(self) -> Path:
        return self.root / "voices"

    @property
    def irs(self) -> Path:
        return self.root / "irs"

    @property
    def embeddings(self) -> Path:
        return self.root / "embeddings"

    def pool(self, name: str) -> Path:
        return self.root / "responses" / name


def make_corpus(root: Path, n_utterances: int) -> Corpus:
    """Speak, record in exponential noise rooms, catalogue and embed (by random vectors)."""
    corpus = Corpus(root)
    plain = corpus.voices / "plain"
    entries, _ = generate_voices(plain, VOICE_LIST, 0, N_SPEAKERS, -(-n_utterances // N_SPEAKERS))
    shutil.rmtree(plain / CLEAN_FOLDER)
    write_corpus(plain, *build_index(entries, "Voices"))
    indexes, refused = {}, []
    for pool in ("bad", "target"):
        index, rejected = build_index(_make_responses(corpus.pool(pool), pool), pool)
        indexes[pool] = index.assign(rt60_true_s=np.nan)
        refused.append(rejected)
    corpus.irs.mkdir()
    build_catalogue(indexes, pd.concat(refused), corpus.irs, load_section("rooms.irs", IrSettings))
    generator = keyed_generator(0, "benchmark-rooms", "embeddings")
    targets = [name for name, entry in load_catalogue(corpus.irs).entries.items() if entry["pool"] == "target"]
    save_embeddings(corpus.embeddings, {name: generator.standard_normal(512, np.float32) for name in targets})
    return corpus


def _make_responses(folder: Path, pool: str) -> list[Entry]:
    entries = []
    for number, rt60_s in enumerate(np.geomspace(SHORTEST_IR_S, LONGEST_IR_S, N_RESPONSES)):
        generator = keyed_generator(0, "benchmark-rooms", f"{pool} {number}")
        t = np.arange(round(rt60_s * SAMPLE_RATE)) / SAMPLE_RATE
        wav = 0.1 * generator.standard_normal(len(t)) * 10 ** (-3 * t / rt60_s)
        wav[0] = 1.0
        path = folder / f"{pool}-{number}.wav"
        write_audio(path, 0.9 * wav / np.abs(wav).max(), SAMPLE_RATE, "PCM_24")
        entries.append(Entry(path.stem, f"{pool}-room-{number}", path))
    return entries


@dataclass(frozen=True)
class Settings:
    """The track's own, read before any clock starts."""

    sterilise: SteriliseSettings
    plan: PlanSettings
    render: RenderSettings


@cache
def settings_here() -> Settings:
    return Settings(
        load_section("rooms.sterilise", SteriliseSettings),
        load_section("rooms.plan", PlanSettings),
        load_section("rooms.render", RenderSettings),
    )


def draw_plan(corpus: Corpus, run: RunFolder, n_triples: int | None, per_batch: int) -> None:
    settings = settings_here().plan.model_copy(update={"n_triples": n_triples, "triples_per_batch": per_batch})
    draws = Draws(load_segments(run.vocals).table, load_catalogue(corpus.irs).entries, settings, 0)
    write_plan(run.plan / PLAN_NAME, draws, settings)


def make_vocals(corpus: Corpus, vocals: Path, reduce_noise: bool) -> None:
    settings = settings_here().sterilise.model_copy(update={"reduce_noise": reduce_noise})
    sterilise(corpus.voices, vocals, vocals.with_name("parts"), settings, 0)


def parts_of_run(corpus: Corpus, folder: Path) -> RunFolder:
    return RunFolder(corpus.irs, corpus.embeddings, folder / "vocals", folder / "plan")


def ours(corpus: Corpus, folder: Path, reduce_noise: bool) -> tuple[int, dict[str, float]]:
    """Make every triple the voices give; return how many, and the seconds of each stage."""
    run, batches = parts_of_run(corpus, folder), folder / "batches"
    marks = [time.perf_counter()]
    make_vocals(corpus, run.vocals, reduce_noise)
    marks.append(time.perf_counter())
    draw_plan(corpus, run, None, TRIPLES_PER_BATCH)
    marks.append(time.perf_counter())
    checkpoint = render(run, batches, settings_here().render)
    marks.append(time.perf_counter())
    manifest = build_manifest(run, batches, SAMPLE_RATE)
    if damaged := mismatches(batches, own_batches(manifest)):
        raise click.ClickException(f"{damaged[0]} is not the file that was rendered")
    write_json(folder / "manifest.json", manifest)
    marks.append(time.perf_counter())
    stages = dict(zip(("sterilise", "plan", "render", "manifest"), np.diff(marks).tolist(), strict=True))
    return checkpoint["triples_completed"], stages


def reference(corpus: Corpus, folder: Path, reduce_noise: bool) -> tuple[int, dict[str, float]]:
    """Do the same by the first recipe; its impulse responses are loaded before."""
    pools = [rooms_reference.load_pool(corpus.pool(name)) for name in ("bad", "target")]
    vectors = {name: np.zeros(512, np.float32) for name in pools[1]}
    voices = corpus.voices / "plain" / AUDIO_FOLDER
    start = time.perf_counter()
    n_triples = rooms_reference.run(voices, *pools, vectors, folder, reduce_noise, TRIPLES_PER_BATCH)
    return n_triples, {"all": time.perf_counter() - start}


def timed(way: str, corpus: Corpus, scratch: Path) -> Made:
    logger.setLevel("WARNING")
    warnings.filterwarnings("ignore", "Possible clipped samples")  # pyloudnorm, of the reference's segments
    os.environ["SOUNDGATE_WORKERS"] = "1"
    who, reduce_noise = WAYS[way]
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        settings_here()
        os.sync()  # Nobody waits for what another left unwritten.
        cpu = time.process_time()
        n_triples, stages = (ours if who == OURS else reference)(corpus, Path(folder), reduce_noise)
        return Made(n_triples, sum(stages.values()), time.process_time() - cpu, stages)


@contextmanager
def own_process() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        yield process
        process.submit(stop_workers).result()


def stop_workers() -> None:
    """End the workers that this process keeps for later; it would wait for them before it ends itself."""
    get_reusable_executor().shutdown(kill_workers=True)


def take_turns(corpus: Corpus, scratch: Path, rounds: int) -> dict[str, list[Made]]:
    """Time every way in every round; the first round warms up and is not counted."""
    result: dict[str, list[Made]] = {way: [] for way in WAYS}
    with ExitStack() as stack:
        processes = {way: stack.enter_context(own_process()) for way in WAYS}
        for number in track(range(rounds + 1), "Rounds"):
            for way, made in result.items():
                one = processes[way].submit(timed, way, corpus, scratch).result()
                if number:
                    made.append(one)
    return result


def triple_parts(corpus: Corpus, folder: Path, rounds: int) -> dict[str, float]:
    """Return seconds a triple of each part of rendering, each timed alone over a whole batch, medians of rounds."""
    make_vocals(corpus, folder / "vocals", reduce_noise=False)
    run, quality = parts_of_run(corpus, folder), settings_here().render.quality
    draw_plan(corpus, run, TRIPLES_PER_BATCH, TRIPLES_PER_BATCH)
    plan = pd.read_parquet(run.plan / PLAN_NAME)
    rows = plan[~plan["spare"]].to_dict("records")
    catalogue, segments = load_catalogue(run.irs), load_segments(run.vocals)
    renderer = Renderer(catalogue.ir, look_back=catalogue.look_back, samples=CLIP_SAMPLES, sample_rate=SAMPLE_RATE)
    dry = [segments.segment(row["segment_id"]) for row in rows]
    effects = [[Effect(**effect) for effect in json.loads(row["effects"])] for row in rows]
    lengths = [renderer.n_fft(row["valid_samples"], row["bad_ir"], row["target_ir"]) for row in rows]
    spectra = [
        [renderer.spectrum(row[pool], length) for pool in ("bad_ir", "target_ir")]
        for row, length in zip(rows, lengths, strict=True)
    ]
    halves = {length: rfft(dry[0], length) for length in set(lengths)}
    stored = np.zeros((2, len(rows), CLIP_SAMPLES), np.int16)
    vectors = np.zeros((len(rows), len(next(iter(load_embeddings(run.embeddings).values())))), np.float32)
    path = folder / "batch.npz"
    n = range(len(rows))

    def whole(i: int):
        row = rows[i]
        return renderer.render(dry[i], row["valid_samples"], row["bad_ir"], row["target_ir"], row["wet"], effects[i])

    triples = [whole(i) for i in n]
    parts: dict[str, Callable[[], object]] = {
        "read the dry clip": lambda: [segments.segment(row["segment_id"]) for row in rows],
        "spectrum of the dry clip": lambda: [rfft(dry[i], lengths[i]) for i in n],
        "products with two responses": lambda: [halves[lengths[i]] * spectrum for i in n for spectrum in spectra[i]],
        "two inverse transforms": lambda: [irfft(halves[lengths[i]], lengths[i]) for i in n for _ in range(2)],
        "effects": lambda: [apply_effects(dry[i], SAMPLE_RATE, effects[i], rows[i]["valid_samples"]) for i in n],
        "quality control": lambda: [reject_reason(each.source, each.target, quality) for each in triples],
        "int16": lambda: [(to_int16(each.source), to_int16(each.target)) for each in triples],
        "write and hash": lambda: write_batch(path, *stored, vectors),
        "hash again for the manifest": lambda: sha256_of(path),
        "all of one triple, without storing": lambda: [whole(i) and None for i in n],
    }
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds + 1):
        for name, part in parts.items():
            start = time.perf_counter()
            part()
            seconds[name].append((time.perf_counter() - start) / len(rows))
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}


def peak_memory_bytes() -> int:
    """Return this process's peak resident memory; `getrusage` would count that of the process it was forked from."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def rendered(run: RunFolder, scratch: Path, workers: int) -> dict[str, float]:
    """Render a plan and throw the batches away; return triples, seconds and this process's peak memory."""
    logger.setLevel("WARNING")
    os.environ["SOUNDGATE_WORKERS"] = str(workers)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        settings_here()
        os.sync()
        start = time.perf_counter()
        checkpoint = render(run, Path(folder), settings_here().render)
        seconds = time.perf_counter() - start
    peak = peak_memory_bytes()
    return {"n_triples": checkpoint["triples_completed"], "seconds": seconds, "peak_bytes": peak}


def scaling(corpus: Corpus, folder: Path, scratch: Path, rounds: int) -> dict[int, list[float]]:
    """Return triples a second of rendering alone, by workers; workers stay alive from round to round."""
    make_vocals(corpus, folder / "vocals", reduce_noise=False)
    run = parts_of_run(corpus, folder)
    draw_plan(corpus, run, SCALING_TRIPLES, TRIPLES_PER_BATCH)
    rates: dict[int, list[float]] = {workers: [] for workers in SCALING_WORKERS}
    with ExitStack() as stack:
        processes = {workers: stack.enter_context(own_process()) for workers in SCALING_WORKERS}
        for number in track(range(rounds + 1), "Workers"):
            for workers, process in processes.items():
                facts = process.submit(rendered, run, scratch, workers).result()
                if number:
                    rates[workers].append(facts["n_triples"] / facts["seconds"])
    return rates


def memory(corpus: Corpus, folder: Path, scratch: Path) -> list[dict[str, float]]:
    """Render plans of two sizes with one worker, each in a fresh process."""
    needed = 2 * 2 * CLIP_SAMPLES * 2 * max(MEMORY_TRIPLES)
    if shutil.disk_usage(scratch).free < needed:
        raise click.ClickException(f"{scratch}: {needed / 1e9:.0f} GB free are needed for --memory")
    make_vocals(corpus, folder / "vocals", reduce_noise=False)
    rows = []
    for n_triples in MEMORY_TRIPLES:
        run = RunFolder(corpus.irs, corpus.embeddings, folder / "vocals", folder / f"plan-{n_triples}")
        draw_plan(corpus, run, n_triples, MEMORY_BATCH)
        with own_process() as process:
            rows.append(process.submit(rendered, run, scratch, 1).result())
    return rows


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Counted rounds; one more warms up.")
@click.option("--utterances", default=96, show_default=True, help="Voices to speak.")
@click.option("--memory", "with_memory", is_flag=True, help="Also render 1,000 and 10,000 triples.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where temporary files go.")
def main(rounds: int, utterances: int, with_memory: bool, folder: Path | None) -> None:
    set_up_logging()
    logger.setLevel("WARNING")
    os.environ.update(ONE_THREAD)  # for the processes started from here
    with tempfile.TemporaryDirectory(dir=folder) as work:
        scratch = Path(work) / "scratch"
        scratch.mkdir()
        corpus = make_corpus(Path(work) / "corpus", utterances)
        result = {"hardware": hardware(torch_device()), "rounds": rounds, "n_utterances": utterances}
        result |= summary(take_turns(corpus, scratch, rounds))
        with own_process() as process:
            result["parts"] = process.submit(triple_parts, corpus, Path(work) / "parts", rounds).result()
        rates = scaling(corpus, Path(work) / "scaling", scratch, rounds)
        speed_ups = np.array(rates[SCALING_WORKERS[-1]]) / np.array(rates[SCALING_WORKERS[0]])
        result["scaling"] = rates
        result["speed_up"] = {
            "median": float(np.median(speed_ups)), "range": [float(speed_ups.min()), float(speed_ups.max())],
        }  # fmt: skip
        if with_memory:
            result["memory"] = memory(corpus, Path(work) / "memory", scratch)
    write_json(RESULTS / "rooms.json", result)
    text = report(result)
    write_text(RESULTS / "rooms.md", text)
    click.echo(text)


if __name__ == "__main__":
    main()
