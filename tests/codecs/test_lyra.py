"""Codec lyra: where its files are from, streams that begin afresh, codes as its own quantiser gives them."""

import copy
import pickle
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from soundgate.audio.io import read_audio
from soundgate.codecs.lyra.litert import make_interpreter
from soundgate.codecs.registry import load_codec
from soundgate.runtime.errors import ConfigError, WeightsError
from soundgate.runtime.files import sha256_of
from tests.codecs import test_extraction as extraction
from tests.http_server import Served, serving
from tests.killing import Killer

SPEECH = Path(__file__).resolve().parents[3] / "shared" / "audio" / "speech"
# Shards as wide as the pipeline's, not those that show what a kill leaves.
LARGE = {"chunk_rows": 1024, "shard_rows": 32768}
NAMES = ("soundstream_encoder", "quantizer", "lyragan")


def write_tiny(folder):
    """Import what needs the library only where a test has it."""
    from tests.codecs.tiny_lyra import write_tiny

    return write_tiny(folder)


@pytest.fixture
def published(load_case):
    return load_case("lyra_published")


@pytest.fixture(params=["lyra", "lyra_published"])
def lyra(request, load_case):
    return load_case(request.param)


@pytest.fixture(scope="module")
def speech():
    """A minute of real speech at 16 kHz by several speakers, [1, 1, T]."""
    if not SPEECH.is_dir():
        pytest.skip("no shared/audio beside the repository")
    paths = [sorted(folder.iterdir())[0] for folder in sorted(SPEECH.iterdir())[:10]]
    wavs = [np.asarray(read_audio(path, 16_000, mono=True).wav)[0, : 6 * 16_000] for path in paths]
    return torch.from_numpy(np.concatenate(wavs))[None, None]


def test_saved_weights_load_to_the_same_codec(lyra, wav, tmp_path):
    weights = lyra.weights()
    assert set(weights) == {f"{name}.tflite" for name in NAMES}
    for name, content in weights.items():
        (tmp_path / name).write_bytes(content.numpy().tobytes())
    again = load_codec("lyra", lyra.settings.model_dump() | {"weights": str(tmp_path)})
    latents = lyra.encode(wav[..., :8_000])
    assert torch.equal(again.encode(wav[..., :8_000]), latents)
    assert torch.equal(again.quantise(latents), lyra.quantise(latents))
    assert torch.equal(again.decode(latents), lyra.decode(latents))


def test_a_folder_without_the_files_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="nowhere.*soundstream_encoder.tflite.*no such file.*codec.lyra.weights"):
        load_codec("lyra", {"weights": str(tmp_path / "nowhere")})
    with pytest.raises(ConfigError, match="codec.lyra.weights"):
        load_codec("lyra", {"weights": ""})


def test_files_of_another_hash_are_refused(tmp_path):
    for name in NAMES:
        (tmp_path / f"{name}.tflite").write_bytes(b"another")
    with pytest.raises(WeightsError, match="soundstream_encoder.tflite.*sha256 237da0b1.*found sha256.*Fetch it again"):
        load_codec("lyra", {"weights": str(tmp_path)})


@pytest.mark.parametrize("settings", [{"revision": "main"}, {"sha256": {"lyragan": "50e7"}}, {"sha256": None}])
def test_a_pin_is_whole(settings):
    with pytest.raises(ConfigError, match=f"codec.lyra.{next(iter(settings))}"):
        load_codec("lyra", settings)


@pytest.mark.usefixtures("tiny_lyra")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_no_model_is_refused(tmp_path, name):
    pinned = write_tiny(tmp_path)
    (tmp_path / f"{name}.tflite").write_bytes(b"no model")
    pinned["sha256"] |= {name: sha256_of(tmp_path / f"{name}.tflite")}
    with pytest.raises(WeightsError, match=f"{name}.tflite: expected a TensorFlow Lite model"):
        load_codec("lyra", pinned)


@pytest.mark.usefixtures("tiny_lyra")
@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        ("soundstream_encoder", "lyragan", "one input of 320 values, one output of 64"),
        ("lyragan", "quantizer", "one input of 64 values, one output of 320"),
        ("quantizer", "lyragan", "a model with signature decode"),
    ],
)
def test_another_model_in_its_place_is_refused(tmp_path, name, other, expected):
    pinned = write_tiny(tmp_path)
    (tmp_path / f"{name}.tflite").write_bytes((tmp_path / f"{other}.tflite").read_bytes())
    pinned["sha256"] |= {name: pinned["sha256"][other]}
    with pytest.raises(WeightsError, match=f"{name}.tflite: expected {expected}"):
        load_codec("lyra", pinned)


def test_a_platform_without_the_library_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    for name in NAMES:
        (tmp_path / f"{name}.tflite").write_bytes(b"anything")
    hashes = dict.fromkeys(NAMES, sha256_of(tmp_path / "lyragan.tflite"))
    with pytest.raises(ConfigError, match="codec lyra: expected library ai-edge-litert.*Linux.*another codec"):
        load_codec("lyra", {"weights": str(tmp_path), "sha256": hashes})


def test_files_are_downloaded_once_and_held_to_their_hashes(tiny_lyra, tmp_path, monkeypatch, wav):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    files = {name: Path(tiny_lyra["weights"], f"{name}.tflite").read_bytes() for name in NAMES}
    commit = "0123456789" * 4
    served = {f"/coefficients/{commit}/{name}.tflite": Served(content) for name, content in files.items()}
    with serving(served) as address:
        pinned = {
            "weights": "download",
            "address": address + "/coefficients/{revision}",
            "revision": commit,
            "sha256": tiny_lyra["sha256"],
        }
        first, second = load_codec("lyra", pinned), load_codec("lyra", pinned)
        assert [len(each.requests) for each in served.values()] == [1, 1, 1]
        with pytest.raises(WeightsError, match="soundstream_encoder.tflite.*wrong checksum.*folder of its three files"):
            load_codec("lyra", pinned | {"sha256": {}})
    kept = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.tflite"))
    assert kept == sorted(f"lyra-{commit[:16]}/{name}.tflite" for name in NAMES)
    with_folder = load_codec("lyra", tiny_lyra)
    for codec in (first, second):
        assert torch.equal(codec.encode(wav[..., :999]), with_folder.encode(wav[..., :999]))


def test_an_address_that_nobody_serves_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with serving({"/soundstream_encoder.tflite": Served(b"", statuses=[-404])}) as address:
        with pytest.raises(WeightsError, match="HTTP 404.*folder of its three files"):
            load_codec("lyra", {"address": address})


def test_every_call_begins_a_stream_of_its_own(lyra, wav):
    wav = wav[..., :6_400]
    first = lyra.encode(wav)
    sounds = lyra.decode(first)
    lyra.encode(0.9 * wav.flip(-1))
    lyra.decode(first.flip(1))
    assert torch.equal(lyra.encode(wav), first) and torch.equal(lyra.decode(first), sounds)
    # The same frames in one stream after others are not the same.
    assert not torch.equal(lyra.encode(torch.cat([wav, wav], dim=-1))[:, first.shape[1]], first[:, 0])


def test_copies_encode_the_same(lyra, wav):
    wav = wav[..., :3_200]
    expected = lyra.encode(wav)
    assert torch.equal(copy.deepcopy(lyra).encode(wav), expected)
    assert torch.equal(pickle.loads(pickle.dumps(lyra)).encode(wav), expected)


@pytest.mark.slow
def test_another_process_encodes_the_same(load_case, wav):
    codec = load_case("lyra")
    with get_context("spawn").Pool(1) as pool:
        assert torch.equal(pool.apply(codec.encode, (wav,)), codec.encode(wav))


def test_fewer_codebooks_are_the_first_ones(load_case, tiny_lyra, wav):
    all_of_them = load_codec("lyra", tiny_lyra)
    latents = all_of_them.encode(wav)
    assert torch.equal(load_case("lyra").quantise(latents), all_of_them.quantise(latents)[:, :16])


def quantiser_codes(codec, latents, n_codebooks):
    """What the file's own signature makes of latents [L, 64]: int64 [n_codebooks, L]."""
    encode = make_interpreter(codec.quantizer, "quantizer").get_signature_runner("encode")
    number = np.int32(n_codebooks)
    frames = (frame.reshape(1, 1, -1) for frame in latents.numpy())
    codes = [encode(input_frames=frame, num_quantizers=number)["output_0"].ravel().copy() for frame in frames]
    return torch.from_numpy(np.stack(codes, axis=1)).long()


@pytest.mark.parametrize("n_codebooks", [16, 30, 46])
def test_codes_are_those_of_the_published_quantiser(published, speech, n_codebooks):
    codec = load_codec("lyra", published.settings.model_dump() | {"n_codebooks": n_codebooks})
    latents = codec.encode(speech)
    # Off the grid too, as latents that something else made are.
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    for own in (latents[0], (latents + 0.5 * noise)[0]):
        expected = quantiser_codes(codec, own, n_codebooks)
        assert (expected[n_codebooks:] == -1).all() and len(own) >= 2_000
        assert torch.equal(codec.quantise(own[None])[0], expected[:n_codebooks])


def test_codes_stand_for_what_the_published_quantiser_decodes(published, wav):
    codes = published.quantise(published.encode(wav))
    decode = make_interpreter(published.quantizer, "quantizer").get_signature_runner("decode")
    for n_codebooks in (1, 16, 46):
        indices = np.full((46, 1, codes.shape[2]), -1, np.int32)
        indices[:n_codebooks, 0] = codes[0, :n_codebooks].numpy()
        frames = [decode(encoding_indices=indices[..., [t]])["output_0"].ravel().copy() for t in range(codes.shape[2])]
        assert np.array_equal(published.dequantise(codes[:, :n_codebooks])[0].numpy(), np.stack(frames))


def test_what_came_before_the_start_is_gone_after_the_warm_up(published, speech):
    own = speech[..., : 60 * 320]
    draw = torch.Generator().manual_seed(0)
    length = 60 * 320
    before = {
        "silence": torch.zeros(1, 1, length),
        "noise": 0.3 * torch.randn(1, 1, length, generator=draw),
        "clipped": torch.randn(1, 1, length, generator=draw).sign(),
        "constant": torch.full((1, 1, length), 0.5),
        "speech": speech[..., 10 * length : 11 * length],
    }
    for level in (1.0, 0.03):
        alone = published.encode(level * own)
        for name, sound in before.items():
            after = published.encode(torch.cat([sound, level * own], dim=-1))[:, 60:]
            assert torch.equal(after[:, published.warmup_frames :], alone[:, published.warmup_frames :]), (name, level)
            assert (after != alone)[:, 20].any() or name == "silence"
            assert (after != alone)[:, :10].any(-1).all()


def test_speech_survives_and_codes_cost_little(published, speech):
    """Log-spectra of what comes out correlate with those of what went in, and only in the right order."""

    def log_spectrum(wav):
        window = torch.hann_window(512)
        return torch.stft(wav[0, 0], 512, 160, window=window, return_complex=True).abs().clamp(min=1e-3).log().ravel()

    def correlation(wav):
        return float(torch.corrcoef(torch.stack([log_spectrum(wav), expected]))[0, 1])

    latents = published.encode(speech)
    length = latents.shape[1] * 320
    expected = log_spectrum(functional.pad(speech, (0, length - speech.shape[-1])))
    codes = published.quantise(latents)
    order = torch.randperm(latents.shape[1], generator=torch.Generator().manual_seed(0))
    unquantised, shuffled = correlation(published.decode(latents)), correlation(published.decode(latents[:, order]))
    finest, coarsest = (correlation(published.decode_codes(codes[:, :n])) for n in (46, 16))
    print(f"unquantised {unquantised:.3f}, 46: {finest:.3f}, 16: {coarsest:.3f}, shuffled {shuffled:.3f}")
    assert unquantised > 0.85 and finest > 0.85 and coarsest > 0.8 and shuffled < 0.5
    assert coarsest < finest


def test_extraction_is_fifty_times_as_fast_as_sound_on_one_core(published, speech, tmp_path):
    rows = []
    for number, part in enumerate(speech[0, 0].split(6 * 16_000)):
        rows.append(extraction.write(tmp_path, f"u{number}", part[None].numpy(), 16_000))
    before = time.process_time()
    found = extraction.extract(extraction.pd.DataFrame(rows), tmp_path / "out", published, workers=1, **LARGE)
    spent_s, sound_s = time.process_time() - before, found["duration_s"].sum()
    print(f"{sound_s:.0f} s of speech in {spent_s:.2f} s of one core: {sound_s / spent_s:.0f} times")
    assert sound_s / spent_s >= 50


def extract_tiny(index, folder, settings):
    extraction.extract_short(index, folder, load_codec("lyra", settings))


@pytest.mark.slow
def test_killed_at_any_moment_the_bytes_are_the_same(tiny_lyra, tmp_path):
    index = extraction.noise_corpus(tmp_path, 12, sample_rate=16_000)
    extract_tiny(index, tmp_path / "whole", tiny_lyra)
    whole = extraction.content(tmp_path / "whole")
    n_shards = len(extraction._committed(tmp_path / "whole"))
    kills = finished = 0
    killer = Killer(lambda: extraction._committed(tmp_path / f"killed{finished}"), most=n_shards // 4)
    while kills < 6 or finished < 1:
        folder = tmp_path / f"killed{finished}"
        if killer.attempt(extract_tiny, index, folder, tiny_lyra):
            assert extraction.content(folder) == whole
            finished += 1
        else:
            kills += 1
    assert n_shards >= 8
