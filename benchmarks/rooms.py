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
from scipy.fft import irfft, rfft

from soundgate.audio.effects import Effect, apply_effects
from soundgate.audio.io import write_audio
from soundgate.config import load_section
from soundgate.console import logger, set_up_logging, track
from soundgate.corpora.index import Entry, build_index, write_corpus
from soundgate.corpora.noisy_voices import AUDIO_FOLDER, CLEAN_FOLDER, generate_voices
from soundgate.device import torch_device
from soundgate.files import sha256_of, write_json, write_text
from soundgate.randomness import keyed_generator
from soundgate.tracks.rooms.batches import to_int16, write_batch
from soundgate.tracks.rooms.embed import load_embeddings, save_embeddings
from soundgate.tracks.rooms.irs import IrSettings, build_catalogue, load_catalogue
from soundgate.tracks.rooms.manifest import build_manifest
from soundgate.tracks.rooms.plan import PlanSettings, build_plan
from soundgate.tracks.rooms.quality import reject_reason
from soundgate.tracks.rooms.rendering import RenderSettings, RunFolder, render
from soundgate.tracks.rooms.segments import load_segments
from soundgate.tracks.rooms.sterilise import SteriliseSettings, sterilise
from soundgate.tracks.rooms.triple import Renderer

RESULTS = Path(__file__).parent / "results"
SAMPLE_RATE, CLIP_SAMPLES = 48_000, 240_000
VOICE_LIST = "sources/generated_voices.yaml"
N_SPEAKERS, N_RESPONSES = 12, 8
SHORTEST_IR_S, LONGEST_IR_S = 0.3, 2.0
TRIPLES_PER_BATCH = 60
SCALING_TRIPLES, SCALING_WORKERS = 480, (1, 2)
MEMORY_TRIPLES, MEMORY_BATCH = (1_000, 10_000), 500
SPEC_FLOOR_S = 0.013
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
REFERENCE, OURS = "reference", "ours"
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


@dataclass(frozen=True)
class Made:
    """Triples and what they took: wall-clock and processor seconds, and the wall-clock of each stage."""

    n_triples: int
    seconds: float
    cpu_seconds: float
    stages: dict[str, float]


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
    table = build_plan(load_segments(run.vocals).table, load_catalogue(corpus.irs).entries, settings, 0)
    run.plan.mkdir(parents=True)
    table.to_parquet(run.plan / "plan.parquet", index=False)


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
    write_json(folder / "manifest.json", build_manifest(run, batches, SAMPLE_RATE))
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
    plan = pd.read_parquet(run.plan / "plan.parquet")
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


FLOOR_PARTS = (
    "spectrum of the dry clip", "products with two responses", "two inverse transforms", "write and hash",
)  # fmt: skip


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
