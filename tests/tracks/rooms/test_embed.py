"""Stage ``rooms-embed``: the probe, the order, resuming, and the file of embeddings."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from soundgate.embeddings.base import AudioEmbedder
from soundgate.embeddings.registry import load_embedder
from soundgate.runtime.errors import ConfigError, FormatError
from soundgate.runtime.files import read_json, sha256_of, write_json
from soundgate.runtime.ledger import Ledger
from soundgate.tracks.rooms.chain import file_hashes
from soundgate.tracks.rooms.embed import (
    EmbedSettings,
    embed_rooms,
    load_embeddings,
    play_in_room,
    save_embeddings,
    white_noise,
)
from soundgate.tracks.rooms.irs import load_catalogue

REPOSITORY = Path(__file__).resolve().parents[3]
RATE = 48_000
SETTINGS = EmbedSettings(probe_sigma=0.1, probe_duration_s=3.0, batch_size=2)
POOLS = {"t-late": "target", "b-0": "bad", "t-early": "target", "file": "target", "b-1": "bad"}
TARGETS = ["t-late", "t-early", "file"]


@pytest.fixture
def irs(tmp_path):
    """Folder of a catalogue whose rooms are single reflections, each at another delay."""
    responses, entries, offset = [], {}, 0
    for number, (ir_id, pool) in enumerate(POOLS.items()):
        response = np.zeros(2_000 + number, np.float32)
        response[0], response[300 * (number + 1)] = 1.0, 0.5
        responses.append(response)
        entries[ir_id] = {"pool": pool, "offset": offset, "samples": len(response)}
        offset += len(response)
    folder = tmp_path / "irs"
    folder.mkdir()
    np.save(folder / "irs.npy", np.concatenate(responses))
    card = {"sample_rate": RATE, "look_back": 0, "settings": {}, "irs": entries, "rejected": []}
    write_json(folder / "ir_catalogue.json", card | {"irs_sha256": sha256_of(folder / "irs.npy")})
    return folder


class FirstSamples(AudioEmbedder):
    """Gives a waveform's first samples back, and counts its batches."""

    def __init__(self, fail_at=None, sample_rate=RATE):
        super().__init__("first", sample_rate)
        self.sizes, self.fail_at = [], fail_at

    def card(self):
        return {"name": self.name, "model": self.name, "revision": "0", "sample_rate": self.sample_rate}

    def _embed(self, wavs):
        if len(self.sizes) == self.fail_at:
            raise KeyboardInterrupt
        self.sizes.append(len(wavs))
        return np.stack([wav[: self.dim] for wav in wavs])


def test_the_probe_is_keyed_white_noise():
    noise = white_noise(3, 0.1, 3.0, RATE)
    assert noise.shape == (3 * RATE,) and noise.std() == pytest.approx(0.1, rel=0.01)
    spectrum = np.abs(np.fft.rfft(noise)).reshape(1, -1)[:, 1:].reshape(8, -1)
    np.testing.assert_allclose((spectrum**2).mean(axis=1) / (0.01 * len(noise)), 1, atol=0.05)
    np.testing.assert_array_equal(noise, white_noise(3, 0.1, 3.0, RATE))
    assert abs(np.corrcoef(noise, white_noise(4, 0.1, 3.0, RATE))[0, 1]) < 0.02


def test_a_room_is_the_noise_and_its_echoes_in_place():
    noise = white_noise(0, 0.1, 0.1, RATE)
    ir = np.zeros(9_000, np.float32)
    ir[240], ir[1_240] = 1.0, -0.5
    heard = play_in_room(noise, ir)
    expected = np.zeros(len(noise))
    expected[240:] += noise[:-240]
    expected[1_240:] -= 0.5 * noise[:-1_240]
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, expected, atol=1e-7)


def test_targets_alone_are_embedded_in_the_catalogues_order_and_in_batches(irs):
    embedder, catalogue = FirstSamples(), load_catalogue(irs)
    embeddings = embed_rooms(catalogue, embedder, SETTINGS, 3, Ledger())
    assert list(embeddings) == TARGETS and embedder.sizes == [2, 1]
    noise = white_noise(3, 0.1, 3.0, RATE)
    for ir_id, vector in embeddings.items():
        np.testing.assert_array_equal(vector, play_in_room(noise, catalogue.ir(ir_id))[:512])


def test_batches_do_not_change_the_embeddings(irs):
    embedder, catalogue = load_embedder("acoustic", {}), load_catalogue(irs)
    one, three = (
        embed_rooms(catalogue, embedder, SETTINGS.model_copy(update={"batch_size": size}), 0, Ledger())
        for size in (1, 3)
    )
    for ir_id in TARGETS:
        np.testing.assert_array_equal(one[ir_id], three[ir_id])


def test_a_killed_run_goes_on_from_its_last_batch_with_the_same_result(irs, tmp_path):
    catalogue, ledger = load_catalogue(irs), Ledger(tmp_path / "ledger")
    with pytest.raises(KeyboardInterrupt):
        embed_rooms(catalogue, FirstSamples(fail_at=1), SETTINGS, 0, ledger)
    resumed = FirstSamples()
    embeddings = embed_rooms(catalogue, resumed, SETTINGS, 0, ledger)
    assert resumed.sizes == [1]
    whole = embed_rooms(catalogue, FirstSamples(), SETTINGS, 0, Ledger())
    for ir_id in TARGETS:
        assert embeddings[ir_id].tobytes() == whole[ir_id].tobytes() and embeddings[ir_id].dtype == np.float32


def test_another_rate_and_an_empty_pool_are_refused(irs):
    catalogue = load_catalogue(irs)
    with pytest.raises(ConfigError, match="catalogue's 48000 Hz; found first at 16000 Hz"):
        embed_rooms(catalogue, FirstSamples(sample_rate=16_000), SETTINGS, 0, Ledger())
    bad = {ir_id: entry for ir_id, entry in catalogue.entries.items() if entry["pool"] == "bad"}
    with pytest.raises(FormatError, match="at least one target room"):
        embed_rooms(dataclasses.replace(catalogue, entries=bad), FirstSamples(), SETTINGS, 0, Ledger())


def test_embeddings_come_back_and_their_bytes_depend_on_nothing_else(tmp_path):
    # "file" and "allow_pickle" are names that numpy.savez would take for its own arguments.
    names = ["z", "file", "allow_pickle", "a.b-2", "a"]
    embeddings = {name: np.full(512, number, np.float32) for number, name in enumerate(names)}
    for folder in ("one", "two"):
        save_embeddings(tmp_path / folder, embeddings)
    assert sha256_of(tmp_path / "one/clap_cache.npz") == sha256_of(tmp_path / "two/clap_cache.npz")
    read = load_embeddings(tmp_path / "one")
    assert list(read) == names
    for name in names:
        np.testing.assert_array_equal(read[name], embeddings[name])


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.zeros(512), r"x: float64 \[512\]"),
        (np.zeros((1, 512), np.float32), r"x: float32 \[1, 512\]"),
        (np.zeros(128, np.float32), r"x: float32 \[128\]"),
        (np.full(512, np.nan, np.float32), "finite: False"),
    ],
)
def test_wrong_embeddings_are_refused(tmp_path, vector, message):
    np.savez(tmp_path / "clap_cache.npz", good=np.zeros(512, np.float32), x=vector)
    with pytest.raises(FormatError, match=message):
        load_embeddings(tmp_path)


def test_missing_empty_damaged_and_pickled_files_are_refused(tmp_path):
    path = tmp_path / "clap_cache.npz"
    with pytest.raises(FormatError, match="FileNotFoundError.*dvc repro rooms-embed"):
        load_embeddings(tmp_path)
    np.savez(path)
    with pytest.raises(FormatError, match="found none"):
        load_embeddings(tmp_path)
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(FormatError, match="allow_pickle"):
        load_embeddings(tmp_path)
    np.savez(path, x=np.zeros(512, np.float32))
    whole = path.read_bytes()
    for content in (b"", whole[:1_000], whole[:500] + b"\xff" * 9 + whole[509:]):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="embeddings by id"):
            load_embeddings(tmp_path)
    np.save(tmp_path / "plain.npy", np.zeros(512, np.float32))
    (tmp_path / "plain.npy").rename(path)
    with pytest.raises(FormatError, match="embeddings by id"):
        load_embeddings(tmp_path)


@pytest.mark.parametrize("values", [{"probe_sigma": 0}, {"probe_duration_s": 10.1}, {"batch_size": 0}, {"seed": 1}])
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ValueError):
        EmbedSettings.model_validate(SETTINGS.model_dump() | values)


@pytest.fixture
def run_stage(irs, tmp_path, monkeypatch):
    """A function that runs the stage with a given chain and returns its result."""
    monkeypatch.syspath_prepend(REPOSITORY)
    main = importlib.import_module("stages.rooms.embed").main
    for name in ("src", "stages"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.setenv("SOUNDGATE_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)

    def run(previous_run=None, reuse=()):
        chain = {"previous_run": previous_run, "reuse": list(reuse)}
        rooms = {"embed": SETTINGS.model_dump(), "chain": chain}
        params = {"seed": 3, "rooms": rooms, "embedder": {"acoustic": {}}}
        YAML(typ="safe", pure=True).dump(params, tmp_path / "params.yaml")
        options = ["--irs", "irs", "--embedder", "acoustic", "--out", "out"]
        return CliRunner().invoke(main, options, catch_exceptions=False)

    return run


def test_the_stage_writes_embeddings_and_a_card(run_stage, irs):
    hashes = []
    for _ in range(2):
        done = run_stage()
        assert done.exit_code == 0, done.output
        hashes.append(file_hashes(Path("out")))
    assert set(hashes[0]) == {"clap_cache.npz", "card.json"} and hashes[0] == hashes[1]
    expected = embed_rooms(load_catalogue(irs), load_embedder("acoustic", {}), SETTINGS, 3, Ledger())
    found = load_embeddings("out")
    assert list(found) == TARGETS
    for ir_id in TARGETS:
        np.testing.assert_array_equal(found[ir_id], expected[ir_id])
    assert read_json("out/card.json") == {
        "name": "acoustic",
        "model": "acoustic",
        "revision": "1",
        "sample_rate": 48_000,
        "dim": 512,
        "n": 3,
        "probe_seed": 3,
        "probe_sigma": 0.1,
        "probe_duration_s": 3.0,
        "catalogue_sha256": sha256_of(irs / "ir_catalogue.json"),
    }


def test_embeddings_of_an_earlier_run_are_taken_over_if_they_are_of_this_catalogue(run_stage, irs):
    earlier = Path("earlier/embeddings")
    save_embeddings(earlier, {ir_id: np.ones(512, np.float32) for ir_id in TARGETS})
    for catalogue_sha256 in (sha256_of(irs / "ir_catalogue.json"), "another"):
        write_json(earlier / "card.json", {"catalogue_sha256": catalogue_sha256})
        parts = {"embeddings": file_hashes(earlier)}
        write_json("earlier/manifest.json", {"run_number": 1, "parts": parts})
        done = run_stage("earlier", ["embeddings"])
        if catalogue_sha256 == "another":
            assert done.exit_code == 1 and "found another. Reuse the catalogue" in done.output
        else:
            assert done.exit_code == 0, done.output
            assert file_hashes(Path("out")) == parts["embeddings"]
