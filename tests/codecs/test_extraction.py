import hashlib
import logging
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from pydantic import BaseModel

from soundgate.audio.io import read_audio
from soundgate.codecs import extraction
from soundgate.codecs.base import Codec
from soundgate.codecs.extraction import encode_batch, extract_latents, map_ahead, plan_batches
from soundgate.codecs.latent_store import LatentStore
from soundgate.runtime.errors import ConfigError, CorpusError, FormatError
from soundgate.runtime.files import sha256_of
from soundgate.runtime.randomness import keyed_generator
from tests.codecs.double import in_double
from tests.killing import Killer, present

CPU = torch.device("cpu")
RATE, HOP = 24_000, 1_920
SMALL = {"chunk_rows": 8, "shard_rows": 16}


class MeanSettings(BaseModel):
    """It has none."""


class MeanCodec(Codec):
    """Latents are the mean of a frame and of the frame before it: exact, causal, and cheap."""

    settings = MeanSettings()

    def __init__(self) -> None:
        super().__init__(
            name="mean",
            sample_rate=RATE,
            hop_length=HOP,
            dim=2,
            n_codebooks=1,
            codebook_size=2,
            warmup_frames=1,
        )
        self.shapes: list[tuple[int, ...]] = []
        self.threads: set[int] = set()

    def _encode(self, wav):
        self.shapes.append(tuple(wav.shape))
        self.threads.add(torch.get_num_threads())
        means = wav.unflatten(-1, (-1, HOP)).mean(-1)[:, 0]
        return torch.stack([means, torch.nn.functional.pad(means, (1, 0))[:, :-1]], dim=-1)

    def weights(self):
        return {"none": torch.zeros(1)}

    def _quantise(self, latents):
        raise AssertionError("extraction asks for latents alone")

    _decode = _dequantise = _quantise


def write(folder: Path, name: str, wav: np.ndarray, sample_rate: int = RATE) -> dict:
    """Write ``wav`` [C, T] losslessly and return its row of the index."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.wav"
    soundfile.write(path, wav.T, sample_rate, subtype="FLOAT")
    row = {"utt_id": name, "speaker_id": name[0], "path": path.name, "sha256": sha256_of(path)}
    samples = wav.shape[1]
    row |= {
        "samples": samples,
        "sample_rate": sample_rate,
        "channels": len(wav),
        "duration_s": samples / sample_rate,
    }
    return row


def noise_corpus(folder: Path, count: int, sample_rate: int = RATE, longest_s: float = 1.2) -> pd.DataFrame:
    rows = []
    for number in range(count):
        draw = keyed_generator(0, "test-extraction", str(number))
        samples = int(draw.uniform(0.6 * longest_s, longest_s) * sample_rate)
        wav = (0.1 * draw.standard_normal((1, samples))).astype(np.float32)
        rows.append(write(folder, f"u{number:03d}", wav, sample_rate))
    return pd.DataFrame(rows)


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def extract(index: pd.DataFrame, folder: Path, codec: Codec | None = None, **options) -> pd.DataFrame:
    return extract_latents(
        index, codec or MeanCodec(), folder, **({"device": CPU, "root": folder.parent} | SMALL | options)
    )


extract_short = partial(extract, min_duration_s=0)


def test_the_store_says_what_its_latents_are(constant, tmp_path, load_case):
    extract(constant, tmp_path / "closed", load_case("gain_shape_75"))
    closed = LatentStore.open(tmp_path / "closed").details
    assert (closed["codec"], closed["latent_space"], closed["weights_sha256"]) == (
        "gain_shape",
        "gains and shapes",
        None,
    )
    assert closed["codec_settings"]["frame_rate"] == 75 and "weights" not in closed["codec_settings"]
    extract(constant, tmp_path / "out", load_case("mimi_encoder"))
    encoder = LatentStore.open(tmp_path / "out").details
    assert encoder["latent_space"] == "encoder" and len(encoder["weights_sha256"]) == 64


def test_another_latent_space_does_not_go_on_in_the_same_folder(constant, tmp_path, load_case):
    extract(constant, tmp_path / "out", load_case("mimi_encoder"))
    with pytest.raises(FormatError, match="'latent_space': 'projected'.*Remove the folder"):
        extract(constant, tmp_path / "out", load_case("mimi_projected"))


def latents_of(folder: Path, row: pd.Series) -> np.ndarray:
    return LatentStore.open(folder).read(row["offset"], row["offset"] + row["n_frames"])


@pytest.fixture
def constant(tmp_path):
    """Two utterances of constant value: 40 and 50.5 frames."""
    long = np.full((1, 101 * HOP // 2), 0.5, np.float32)
    return pd.DataFrame([write(tmp_path, "a", np.full((1, 40 * HOP), 0.25, np.float32)), write(tmp_path, "b", long)])


def test_known_values(constant, tmp_path):
    latents = extract(constant, tmp_path / "out")
    assert latents["n_frames"].tolist() == [40, 51] and latents["offset"].tolist() == [0, 40]
    expected = np.full((51, 2), 0.5)
    expected[0, 1], expected[50, 0] = 0, 0.25  # Nothing before the first frame; the last is half padding.
    np.testing.assert_allclose(latents_of(tmp_path / "out", latents.iloc[1]), expected, rtol=1e-6)
    np.testing.assert_allclose(latents_of(tmp_path / "out", latents.iloc[0])[:, 0], 0.25, rtol=1e-6)


def test_the_index_on_disk_describes_the_latents(constant, tmp_path):
    latents = extract(constant, tmp_path / "out")
    on_disk = pd.read_parquet(tmp_path / "out" / "latents_index.parquet")
    pd.testing.assert_frame_equal(on_disk, latents)
    assert list(on_disk.columns) == [*constant.columns, "offset", "n_frames"]
    assert on_disk.attrs["warmup_frames"] == 1 and on_disk.attrs["codec"] == "mean"
    assert on_disk.attrs["frame_rate"] == 12.5 and on_disk.attrs["n_frames"] == 91
    assert LatentStore.open(tmp_path / "out").details["n_skipped_short"] == 0
    LatentStore.open(tmp_path / "out").verify()


def test_short_utterances_are_left_out_and_counted(constant, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(extraction.logger, "propagate", True)
    short = write(tmp_path, "c", np.full((1, 3 * RATE - 1), 0.5, np.float32))
    with caplog.at_level(logging.INFO, "soundgate"):
        latents = extract(pd.concat([constant, pd.DataFrame([short])]), tmp_path / "out")
    assert latents["utt_id"].tolist() == ["a", "b"] and latents.attrs["n_skipped_short"] == 1
    assert "2 utterances, 7 s of audio" in caplog.text and "1 left out as too short" in caplog.text
    with pytest.raises(CorpusError, match="utterances of at least 9 s; found none"):
        extract(constant, tmp_path / "none", min_duration_s=9)


def test_stereo_at_another_rate_is_mixed_and_resampled(tmp_path):
    wav = np.stack([np.full(8_000 * 4, 0.2), np.full(8_000 * 4, 0.4)]).astype(np.float32)
    latents = extract(pd.DataFrame([write(tmp_path, "a", wav, 8_000)]), tmp_path / "out")
    assert latents["n_frames"].tolist() == [50]
    np.testing.assert_allclose(latents_of(tmp_path / "out", latents.iloc[0])[1:-1], 0.3, rtol=1e-3)


def test_a_changed_file_is_refused(constant, tmp_path):
    write(tmp_path, "b", np.full((1, 60 * HOP), 0.1, np.float32))
    with pytest.raises(FormatError, match=r"b\.wav: expected sha256 .*restore it, or build the index"):
        extract(constant, tmp_path / "out")
    (tmp_path / "b.wav").unlink()
    with pytest.raises(FormatError, match="found no such file"):
        extract(constant, tmp_path / "out")


def test_another_number_of_samples_is_refused(constant, tmp_path):
    constant.loc[0, "samples"] += 2
    with pytest.raises(FormatError, match="expected 76802 samples .* found 76800"):
        extract(constant, tmp_path / "out")


def test_unfit_requests_are_refused(constant, tmp_path):
    with pytest.raises(ConfigError, match="float32 or bfloat16"):
        extract(constant, tmp_path / "out", dtype="float16")
    with pytest.raises(CorpusError, match="every utt_id once; found 'a' again"):
        extract(pd.concat([constant, constant]), tmp_path / "out")


def test_a_folder_of_another_extraction_is_refused(constant, tmp_path):
    extract(constant, tmp_path / "out")
    with pytest.raises(FormatError, match="Remove the folder"):
        extract(constant.iloc[:1], tmp_path / "out")


def test_plan_sorts_lengths_inside_a_window():
    durations = [4, 9, 3, 8, 5, 2]
    assert plan_batches(durations, 0) == [[0], [1], [2], [3], [4], [5]]
    assert plan_batches(durations, 18) == [[4, 0, 2], [1, 3], [5]]
    assert plan_batches(durations, 18, window_s=10) == [[1, 0], [3, 2], [4, 5]]
    assert plan_batches(durations, 1e9) == [[1, 3, 4, 0, 2, 5]]


@pytest.mark.parametrize("batch_seconds", [0, 20, 60, 320])
def test_plan_covers_every_utterance_once_within_its_budget(batch_seconds):
    durations = keyed_generator(0, "test-plan").uniform(3, 30, 700)
    batches = plan_batches(durations, batch_seconds, window_s=1800)
    assert Counter(i for batch in batches for i in batch) == Counter(range(700))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * durations[batch].max() <= batch_seconds
    # What waits to be stored in order lies within one window.
    starts = np.floor((np.cumsum(durations) - durations) / 1800)
    assert [starts[batch[0]] for batch in batches] == sorted(starts[batch[0]] for batch in batches)


def test_map_ahead_keeps_order_and_distance():
    drawn = []
    results = map_ahead(lambda item: item**2, (drawn.append(i) or i for i in range(50)), workers=2)
    taken = []
    for result in results:
        taken.append(result)
        assert len(drawn) - len(taken) <= 2 * 2
    assert taken == [i**2 for i in range(50)]


def test_map_ahead_passes_on_the_first_error():
    results = map_ahead(lambda item: 1 // item, [2, 1, 0, 1], workers=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_batches_are_stored_in_the_order_of_the_index(tmp_path):
    index = noise_corpus(tmp_path, 12)
    single, batched = MeanCodec(), MeanCodec()
    one = extract_short(index, tmp_path / "one", single)
    many = extract_short(index, tmp_path / "many", batched, batch_seconds=5)
    assert one["utt_id"].tolist() == many["utt_id"].tolist() == index["utt_id"].tolist()
    assert one["offset"].tolist() == many["offset"].tolist()
    assert {shape[0] for shape in single.shapes} == {1} and max(shape[0] for shape in batched.shapes) >= 4
    frames = LatentStore.open(tmp_path / "one").read(0, one.attrs["n_frames"])
    np.testing.assert_allclose(LatentStore.open(tmp_path / "many").read(0, len(frames)), frames, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("batch_seconds", [0, 5])
def test_workers_do_not_change_a_byte(tmp_path, batch_seconds, monkeypatch):
    index = noise_corpus(tmp_path, 12, sample_rate=16_000)
    for workers in (1, 2, 3):
        monkeypatch.setenv("SOUNDGATE_WORKERS", str(workers))
        extract_short(index, tmp_path / str(workers), batch_seconds=batch_seconds)
    assert content(tmp_path / "1") == content(tmp_path / "2") == content(tmp_path / "3")


@pytest.mark.parametrize(("workers", "cpu_threads"), [(1, 1), (2, 1), (1, 2), (2, 2), (5, 2)])
def test_the_codec_says_how_many_threads_an_operation_has(constant, tmp_path, workers, cpu_threads):
    before = torch.get_num_threads()
    codec = MeanCodec()
    codec.cpu_threads = cpu_threads
    torch.set_num_threads(3)
    extract(constant, tmp_path / "out", codec, workers=workers)
    assert codec.threads == {cpu_threads} and torch.get_num_threads() == 3
    torch.set_num_threads(before)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("batch_seconds", [0, 7])
def test_going_on_encodes_only_what_is_not_committed(tmp_path, batch_seconds):
    index = noise_corpus(tmp_path, 16, longest_s=2.4)
    whole = MeanCodec()
    extract_short(index, tmp_path / "whole", whole, batch_seconds=batch_seconds, workers=1)

    class Stopping(MeanCodec):
        def _encode(self, wav):
            if len(self.shapes) == len(whole.shapes) - 1:
                raise Interrupted
            return super()._encode(wav)

    first, second = Stopping(), MeanCodec()
    with pytest.raises(Interrupted):
        extract_short(index, tmp_path / "again", first, batch_seconds=batch_seconds, workers=1)
    extract_short(index, tmp_path / "again", second, batch_seconds=batch_seconds, workers=1)
    assert content(tmp_path / "again") == content(tmp_path / "whole")
    assert 1 <= len(second.shapes) < len(whole.shapes) and second.shapes[-1] == whole.shapes[-1]


def test_a_finished_folder_encodes_nothing_and_gets_its_index_back(constant, tmp_path):
    extract(constant, tmp_path / "out")
    before = content(tmp_path / "out")
    (tmp_path / "out" / "latents_index.parquet").unlink()
    (tmp_path / "out" / ".latents_index.77.partial.parquet").write_bytes(b"left by a kill")
    codec = MeanCodec()
    extract(constant, tmp_path / "out", codec)
    assert codec.shapes == [] and content(tmp_path / "out") == before


def test_out_of_memory_halves_the_batch(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(extraction.logger, "propagate", True)
    index = noise_corpus(tmp_path, 7)

    class Small(MeanCodec):
        def _encode(self, wav):
            if len(wav) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super()._encode(wav)

    small = Small()
    small.room = 2
    extract_short(index, tmp_path / "whole", batch_seconds=25)
    extract_short(index, tmp_path / "halved", small, batch_seconds=25)
    assert content(tmp_path / "halved") == content(tmp_path / "whole")
    assert sorted(shape[0] for shape in small.shapes) == [1, 2, 2, 2]
    assert "Out of memory with 7 utterances" in caplog.text
    small.room = 0
    with pytest.raises(torch.OutOfMemoryError):
        extract_short(index, tmp_path / "none", small)


def encoded(codec, wav, bfloat16=False):
    """What the codec alone makes of a wave [T], in PyTorch's own memory, as a batch of one."""
    batch = torch.tensor(wav)[None, None]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        return codec.encode(batch)[0].float().numpy()


def test_bfloat16_is_autocast():
    class Product(MeanCodec):
        def _encode(self, wav):
            return wav.unflatten(-1, (-1, HOP))[:, 0] @ weights

    draw = keyed_generator(0, "test-bfloat16")
    weights = torch.tensor(draw.standard_normal((HOP, 2)), dtype=torch.float32)
    wav = draw.standard_normal(10 * HOP).astype(np.float32)
    whole, half = (encode_batch(Product(), [wav], CPU, dtype)[0] for dtype in ("float32", "bfloat16"))
    np.testing.assert_array_equal(whole, encoded(Product(), wav))
    np.testing.assert_array_equal(half, encoded(Product(), wav, bfloat16=True))
    assert half.dtype == np.float32 and not np.array_equal(half, whole)
    assert 0 < np.linalg.norm(half - whole) < 1e-2 * np.linalg.norm(whole)


def test_bfloat16_is_moved_without_being_widened():
    seen = []

    class Moving(MeanCodec):
        def _encode(self, wav):
            half = wav.unflatten(-1, (-1, HOP))[:, 0] @ torch.full((HOP, 2), 1 / HOP)
            padded = torch.nn.functional.pad(half.transpose(1, 2), (1, 0), mode="reflect").transpose(1, 2)
            joined = torch.cat([padded, torch.zeros(1, 1, 2)], dim=1)
            seen.extend([half.dtype, padded.dtype, joined.dtype])
            return joined[:, 1:-1]

    ramp = np.repeat(np.arange(8, dtype=np.float32) / 8, HOP)
    latents = encode_batch(Moving(), [ramp], CPU, "bfloat16")[0]
    assert seen == [torch.bfloat16] * 3
    np.testing.assert_array_equal(latents, encoded(Moving(), ramp, bfloat16=True))
    assert torch.float32 in seen[3:]
    np.testing.assert_allclose(latents[:, 0], np.arange(8) / 8, rtol=1e-2)


@pytest.mark.parametrize(
    ("case", "size"),
    [("gain_shape_75", "load_full"), ("encodec", "load_full"), ("mimi_encoder", "load_case"), ("lyra", "load_case")],
)
def test_real_codecs_batch_and_workers(tmp_path, request, case, size):
    """Batched equals one at a time within rounding; one and two workers give the same bytes."""
    index = noise_corpus(tmp_path, 3, sample_rate=16_000, longest_s=0.24)
    codec = request.getfixturevalue(size)(case)
    for label, options in {
        "w1": {"workers": 1}, "w2": {"workers": 2}, "b1": {"workers": 1, "batch_seconds": 30},
        "b2": {"workers": 2, "batch_seconds": 30},
    }.items():  # fmt: skip
        latents = extract_short(index, tmp_path / label, codec, **options)
    assert content(tmp_path / "w1") == content(tmp_path / "w2")
    assert content(tmp_path / "b1") == content(tmp_path / "b2")
    one, many = (LatentStore.open(tmp_path / label).read(0, latents.attrs["n_frames"]) for label in ("w1", "b1"))
    wavs = [read_audio(tmp_path / path, codec.sample_rate, mono=True).wav for path in index["path"]]
    exact = torch.cat([in_double(codec, torch.from_numpy(wav)[None])[0] for wav in wavs]).detach().numpy()
    assert np.linalg.norm(many - exact) <= 2 * np.linalg.norm(one - exact)


@pytest.mark.slow
def test_killed_at_any_moment_the_bytes_are_the_same(tmp_path):
    """SIGKILL at 24 moments of the work at least; every folder finished equals the uninterrupted one."""
    index = noise_corpus(tmp_path, 30, sample_rate=16_000)
    extract_short(index, tmp_path / "whole")
    whole, n_shards = content(tmp_path / "whole"), len(_committed(tmp_path / "whole"))
    kills, finished, committed = 0, 0, []
    killer = Killer(lambda: _committed(tmp_path / f"killed{finished}"), most=n_shards // 4)
    while kills < 24 or finished < 1 or len(set(committed)) < 8:
        folder = tmp_path / f"killed{finished}"
        if killer.attempt(extract_short, index, folder):
            assert content(folder) == whole
            finished += 1
        else:
            kills += 1
            committed.append(len(_committed(folder)))
    print(f"{kills} kills, {finished} finished; shards committed at each kill: {committed}")


def _committed(folder):
    """Return the shards that are done."""
    return present(folder, "manifest/0*.json")
