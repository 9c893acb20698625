"""A small run: 7 rooms, 6 speakers, clips of a quarter second, all parts made by the stages' own functions."""

import copy

import numpy as np
import pandas as pd
import pytest

from soundgate.audio.io import write_audio
from soundgate.corpora.index import Entry, build_index, write_corpus
from soundgate.runtime.files import write_json
from soundgate.tracks.rooms.embed import save_embeddings
from soundgate.tracks.rooms.irs import IrSettings, build_catalogue, load_catalogue
from soundgate.tracks.rooms.manifest import build_manifest
from soundgate.tracks.rooms.measures import StoredAudio, read_triples
from soundgate.tracks.rooms.plan import DRAWN_NAME, PLAN_NAME, Draws, PlanSettings, write_plan
from soundgate.tracks.rooms.probing import probe_embeddings
from soundgate.tracks.rooms.quality import QualitySettings
from soundgate.tracks.rooms.rendering import RenderSettings, RunFolder, render
from soundgate.tracks.rooms.sterilise import SteriliseSettings, sterilise
from soundgate.tracks.rooms.stored import stored_bandwidths, stored_levels, stored_rooms, stored_triples

RATE, CLIP = 48_000, 12_000
TOOLKIT = {
    "n_effects": (3, 6), "snr_db": (5, 40), "eq_gain_db": (-12, 12), "high_pass_hz": (60, 300),
    "low_pass_hz": (3000, 16000), "gain_db": (-12, 6), "bits": (8, 16), "clip_db": (1, 12),
}  # fmt: skip
PLAN = PlanSettings.model_validate({
    "n_triples": 20, "triples_per_batch": 4, "spare_share": 0.5, "split_shares": (0.6, 0.2, 0.2),
    "wet": (0.3, 1.0), "toolkit": TOOLKIT,
})  # fmt: skip
SETTINGS = RenderSettings(budget_gb=1, quality=QualitySettings(min_rms=1e-4, max_clipped_share=0.5))


def _irs(folder, out):
    pools = {}
    for pool, seeds in (("bad", range(3)), ("target", range(10, 14))):
        entries = []
        for seed in seeds:
            samples = RATE // 8
            decay = 10 ** (-3 * np.arange(samples) / ((0.05 + 0.02 * (seed % 10)) * RATE))
            ir = 0.2 * np.random.default_rng(seed).standard_normal(samples) * decay
            ir[0] = 1
            path = folder / pool / f"r{seed}.wav"
            write_audio(path, 0.5 * np.pad(ir, (13 * seed, 0)), RATE, subtype="FLOAT")
            entries.append(Entry(f"r{seed}", f"room{seed}", path))
        index, _ = build_index(entries, pool)
        pools[pool] = index.assign(rt60_true_s=np.nan)
    settings = IrSettings(sample_rate=RATE, channel=0, search_s=0.005, look_back_s=0.001, max_removed_energy_db=-10,
                          max_duration_s=1.0, min_samples=64, min_decay_db=25)  # fmt: skip
    build_catalogue(pools, pd.DataFrame(columns=["path", "reason"]), out, settings)


def _vocals(folder, out):
    entries = []
    for number in range(12):
        generator = np.random.default_rng(number)
        wav = 0.1 * generator.standard_normal(CLIP + 3000) * (1 + np.sin(np.arange(CLIP + 3000) / 900))
        path = folder / "voices" / "v" / f"u{number}.wav"
        write_audio(path, wav, RATE)
        entries.append(Entry(f"u{number}", f"s{number % 6}", path))
    index, rejected = build_index(entries, "voices")
    write_corpus(folder / "voices" / "v", index.assign(clean_path="", noise_snr_db=np.nan), rejected)
    settings = SteriliseSettings(sample_rate=RATE, clip_samples=CLIP, reduce_noise=False, clean_snr_db=40,
                                 trim_top_db=40, min_duration_s=0.1, loudness_lufs=-23, files_per_shard=5,
                                 budget_gb=1)  # fmt: skip
    sterilise(folder / "voices", out, folder / "parts", settings, 0)


def knowing(entry):
    """An embedding from which T60 and C50 can be read."""
    return np.resize([10 * entry["rt60_s"], entry["c50_db"] / 10], 512).astype(np.float32)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The folder of a run whose triples are not rendered yet; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _irs(folder / "corpus", folder / "irs")
        _vocals(folder / "corpus", folder / "vocals")
    catalogue = load_catalogue(folder / "irs")
    save_embeddings(folder / "embeddings", {
        name: knowing(entry) for name, entry in catalogue.entries.items() if entry["pool"] == "target"
    })  # fmt: skip
    (folder / "plan").mkdir()
    draws = Draws(pd.read_parquet(folder / "vocals/segments.parquet"), catalogue.entries, PLAN, 0)
    write_plan(folder / "plan" / PLAN_NAME, draws, PLAN)
    write_json(folder / "plan" / DRAWN_NAME, {"seed": 0, "settings": PLAN.model_dump()})
    return folder


def parts(folder):
    return RunFolder(folder / "irs", folder / "embeddings", folder / "vocals", folder / "plan")


@pytest.fixture(scope="session")
def batches(small_run, tmp_path_factory):
    """The folder of its batches, rendered; not to be changed."""
    out = tmp_path_factory.mktemp("measured")
    render(parts(small_run), out, SETTINGS)
    return out


@pytest.fixture(scope="session")
def manifest(small_run, batches):
    return build_manifest(parts(small_run), batches, RATE)


def measure_stored(run, batches, manifest):
    """All that is measured of a run's stored audio."""
    triples, embeddings = stored_triples(batches, manifest)
    return StoredAudio(
        levels=stored_levels(run / "irs", run / "vocals", batches, triples),
        rooms=stored_rooms(run / "irs", run / "vocals", batches, triples, 100),
        bandwidths=stored_bandwidths(batches, triples, RATE),
        embeddings=probe_embeddings(triples, embeddings, load_catalogue(run / "irs").entries, 0),
    )


@pytest.fixture(scope="session")
def stored(small_run, batches, manifest):
    """What was measured of its stored audio; not to be changed."""
    return measure_stored(small_run, batches, manifest)


@pytest.fixture
def tables(small_run, batches, manifest, stored):
    """What `measure_run` takes, as a dict to change; the voices get a truth that sterilising came nearer to.

    The voices of two speakers are clean.
    """
    triples, _ = read_triples(batches, manifest)
    voices = pd.read_parquet(small_run / "vocals/files.parquet")
    clean = voices["speaker_id"].isin(["v-s0", "v-s1"])
    after = np.where(clean, 100.0, 12.0 + np.arange(len(voices)) / 10)
    plain = np.where(np.arange(len(voices)) % 5 == 0, 7.0 + np.arange(len(voices)) / 10, np.nan)
    voices = voices.assign(sdr_before_db=np.where(clean, 100.0, 10.0), sdr_after_db=after, control_sdr_db=plain)
    return {"triples": triples, "stored": copy.deepcopy(stored), "voices": voices}
