"""Batches of loaders as people write them are understood alike, and what cannot be understood is refused in words."""

import collections
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, IterableDataset

from soundgate.audio.io import resample
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.voice.loading.batches import spoken_batches

RATE = 16_000
Named = collections.namedtuple("Named", "waveform spk")


@dataclass
class Fields:
    audio: torch.Tensor
    speaker_ids: list


def numbered(names):
    return [sorted(set(names)).index(name) for name in names]


# Waveforms [B, T] and names of speakers to a batch.
EQUAL = {
    "dict": lambda wav, names: {"wav": wav, "speaker": names},
    "dict of other names": lambda wav, names: {"id": list("abcdefgh")[: len(wav)], "Speech": wav, "spk_id": names},
    "dict without known names": lambda wav, names: {"x": wav, "y": torch.tensor(numbered(names))},
    "channel": lambda wav, names: {"waveform": wav[:, None], "speaker_id": torch.tensor(numbered(names))},
    "column of labels": lambda wav, names: {"input_values": wav, "labels": torch.tensor(numbered(names))[:, None]},
    "mask": lambda wav, names: {"input_values": wav, "attention_mask": torch.ones(wav.shape).long(), "labels": names},
    "rate": lambda wav, names: {"audio": wav, "sampling_rate": [RATE] * len(wav), "speaker": tuple(names)},
    "decoded": lambda wav, names: {"audio": {"array": wav, "sampling_rate": RATE}, "speaker_id": names},
    "decoded list": lambda wav, names: {
        "audio": [{"path": None, "array": own.tolist(), "sampling_rate": RATE} for own in wav], "speaker": names,
    },
    "paths beside": lambda wav, names: {"audio": ["a.wav"] * len(wav), "wav": wav, "speaker": names},
    "pair": lambda wav, names: (wav, names),
    "list": lambda wav, names: [wav, torch.tensor(numbered(names))],
    "speaker first": lambda wav, names: (np.array(names), wav),
    "with lengths": lambda wav, names: (wav, torch.full((len(wav),), wav.shape[1]), torch.tensor(numbered(names))),
    "with rate": lambda wav, names: (wav[:, None], torch.full((len(wav),), RATE), tuple(names)),
    "named tuple": lambda wav, names: Named(wav, np.array(numbered(names))),
    "dataclass": lambda wav, names: Fields(wav, names),
    "object": lambda wav, names: SimpleNamespace(wavs=wav, speakers=[torch.tensor(own) for own in numbered(names)]),
    "numpy": lambda wav, names: {"wav": wav.numpy(), "speaker": np.array(names, object)},
    "double": lambda wav, names: (wav.double(), names),
    "big-endian": lambda wav, names: {"wav": wav.numpy().astype(">f4"), "speaker": names},
    "list of waves": lambda wav, names: ([own.numpy() for own in wav], names),
    "list of items": lambda wav, names: [{"wav": own, "speaker": name} for own, name in zip(wav, names, strict=True)],
    "list of pairs": lambda wav, names: list(zip(wav[:, None], numbered(names), strict=True)),
    "turned list": lambda wav, names: tuple(zip(*zip(wav, names, strict=True), strict=True)),
    "list of dataclasses": lambda wav, names: [Fields(own, name) for own, name in zip(wav, names, strict=True)],
    "named with lengths": lambda wav, names: {
        "wav": wav, "speaker": names, "lengths": torch.ones(len(wav)) * wav.shape[1],
    },
}  # fmt: skip
VARIABLE = {
    "lengths": lambda waves, names: {"wav": pad(waves), "speaker": names, "lengths": torch.tensor(sizes(waves))},
    "shares": lambda waves, names: {
        "wav": pad(waves), "speaker": names, "wav_lens": torch.tensor(sizes(waves)) / max(sizes(waves)),
    },
    "mask": lambda waves, names: {
        "input_values": pad(waves), "labels": names,
        "attention_mask": torch.arange(max(sizes(waves))) < torch.tensor(sizes(waves))[:, None],
    },
    "tuple": lambda waves, names: (pad(waves), sizes(waves), names),
    "list": lambda waves, names: (list(waves), names),
    "array of arrays": lambda waves, names: (ragged(waves), names),
    "items": lambda waves, names: list(zip(waves, names, strict=True)),
}  # fmt: skip


def ragged(waves):
    whole = np.empty(len(waves), object)
    for number, own in enumerate(waves):
        whole[number] = own.numpy()
    return whole


def pad(waves):
    return pad_sequence(waves, batch_first=True)


def sizes(waves):
    return [len(own) for own in waves]


def read(batches, **options):
    return list(spoken_batches(batches, "test", **{"model_rate": RATE} | options))


def spoken(size, longest, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(-0.5, 0.5, (size, longest)).astype(np.float32))


def names_of(seed, size):
    return [f"speaker {number}" for number in np.random.default_rng(seed).integers(0, 4, size)]


@pytest.mark.parametrize("kind", EQUAL)
@settings(max_examples=8, deadline=None)
@given(size=st.integers(1, 6), longest=st.integers(5, 400), seed=st.integers(0, 99))
def test_batches_of_any_form_are_the_same_utterances(kind, size, longest, seed):
    wav, names = spoken(size, longest, seed), names_of(seed, size)
    (batch,) = read([EQUAL[kind](wav, names)])
    assert batch.wav.dtype == torch.float32 and torch.equal(batch.wav, wav)
    assert batch.lengths.tolist() == [longest] * size
    known = names if batch.speakers.dtype.kind == "U" else numbered(names)
    assert batch.speakers.tolist() == known


@pytest.mark.parametrize("kind", VARIABLE)
@settings(max_examples=8, deadline=None)
@given(lengths=st.lists(st.integers(2, 300), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_utterances_of_any_lengths_end_where_they_end(kind, lengths, seed):
    waves, names = [spoken(1, length, seed)[0] for length in lengths], names_of(seed, len(lengths))
    (batch,) = read([VARIABLE[kind](waves, names)])
    assert batch.lengths.tolist() == lengths and batch.speakers.tolist() == names
    for own, wav, length in zip(batch.wav, waves, lengths, strict=True):
        assert torch.equal(own[:length], wav) and not own[length:].any()


def test_integers_are_brought_to_full_scale():
    (batch,) = read([{"wav": torch.tensor([[2**14, -(2**15), 1]], dtype=torch.int16), "speaker": "ann"}])
    assert batch.wav.tolist() == [[0.5, -1.0, 2.0**-15]] and batch.speakers.tolist() == ["ann"]


class Corpus(Dataset):
    """Items in torchaudio's form of LibriSpeech."""

    def __len__(self):
        return 5

    def __getitem__(self, item):
        return spoken(1, 50, item), RATE, f"SENTENCE {item}", 84 + item % 2, 121_123, item


class Stream(IterableDataset):
    def __iter__(self):
        return ({"wav": spoken(1, 50, item)[0], "speaker": f"s{item % 2}"} for item in range(5))


def test_loaders_of_torch_are_read_batched_and_not():
    fields = {"wav": 0, "sample_rate": 1, "speaker": 3}
    batches = read(DataLoader(Corpus(), batch_size=2), fields=fields)
    assert [own.speakers.tolist() for own in batches] == [[84, 85], [84, 85], [84]]
    single = read(DataLoader(Corpus(), batch_size=None), fields=fields)
    for own in (single, read(Corpus(), fields=fields)):
        assert torch.equal(torch.cat([one.wav for one in own]), torch.cat([two.wav for two in batches]))
    assert [len(own.wav) for own in read(DataLoader(Stream(), batch_size=2))] == [2, 2, 1]
    assert [own.speakers.tolist() for own in read(DataLoader(Stream(), batch_size=None))][1] == ["s1"]


def test_what_could_be_several_things_is_not_guessed():
    with pytest.raises(CorpusError, match=r"speakers in one entry \(not \[2, 3, 4, 5\] alike\).*fields=") as error:
        read(DataLoader(Corpus(), batch_size=2))
    assert "float32 [2, 1, 50]" in error.value.found and "int64 [2]" in error.value.found


WAV = torch.zeros(3, 40)
REFUSED = {
    "nothing": ({}, "audio, float"),
    "text": ("abc", "found str"),
    "tensor": (WAV, "speakers of the utterances"),
    "spectrogram": ({"x": torch.zeros(3, 80, 40), "speaker": [0, 1, 2]}, r"found dict of 'x': float32 \[3, 80, 40\]"),
    "stereo": ((torch.zeros(3, 2, 40), [0, 1, 2]), r"float \[B, T\] or \[B, 1, T\]"),
    "two of audio": ((WAV, WAV, [0, 1, 2]), r"in one entry \(not \[0, 1\] alike\)"),
    "no speakers": ({"wav": WAV, "path": [None] * 3}, "speakers of the utterances"),
    "no speakers but text": ({"wav": WAV, "text": ["ONE", "TWO", "THREE"]}, "speakers of the utterances"),
    "lengths alone": ((WAV, torch.tensor([40, 30, 20])), "speakers of the utterances"),
    "rate alone": ((WAV, RATE), "speakers of the utterances"),
    "rate or lengths": ((torch.zeros(3, RATE), [RATE] * 3, [0, 1, 2]), "either the sample rate or lengths.*in 1;"),
    "other number": ({"wav": WAV, "speaker": ["a", "b"]}, r"text or integers \[3\] as speakers in 'speaker'"),
    "float speakers": ({"wav": WAV, "speaker": torch.rand(3)}, r"text or integers \[3\]"),
    "long lengths": ({"wav": WAV, "speaker": [0, 1, 2], "lengths": [40, 41, 3]}, "lengths from 1 to 40"),
    "no length": ({"wav": WAV, "speaker": [0, 1, 2], "lengths": [40, 0, 3]}, "lengths from 1 to 40"),
    "seconds": ({"wav": WAV, "speaker": [0, 1, 2], "lengths": [2.5, 1.5, 2.0]}, "lengths in samples"),
    "mask from the right": (
        {"wav": WAV, "speaker": [0, 1, 2], "attention_mask": torch.arange(40).flip(0).expand(3, 40) < 20},
        "from the left",
    ),
    "rates": ({"wav": WAV, "speaker": [0, 1, 2], "sr": [1, 2]}, "sample rate in Hz"),
    "not finite": ({"wav": torch.full((3, 4), torch.nan), "speaker": [0, 1, 2]}, "infinity in 3 of 3 utterances"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_batch_that_is_not_understood_says_what_it_is(kind):
    batch, message = REFUSED[kind]
    good = {"wav": WAV, "speaker": [0, 1, 2]}
    with pytest.raises(CorpusError, match=message) as error:
        read([good, batch])
    assert "loader, batch 1" in str(error.value)


def test_fields_that_are_told_are_taken_or_missed():
    batch = {"clean": WAV + 0.1, "noisy": WAV, "who": [0, 1, 2], "speaker": [9, 9, 9]}
    (found,) = read([batch], fields={"wav": "clean", "speaker": "who"})
    assert found.wav.min() > 0 and found.speakers.tolist() == [0, 1, 2]
    with pytest.raises(CorpusError, match="an entry 'dirty', which was given as wav"):
        read([batch], fields={"wav": "dirty"})
    with pytest.raises(CorpusError, match="in 'who'"):
        read([batch], fields={"wav": "who"})
    with pytest.raises(CorpusError, match="fields out of wav, speaker"):
        read([batch], fields={"audio": "clean"})


def test_sound_at_other_rates_is_brought_to_the_models():
    waves = [spoken(1, 4_410)[0], spoken(1, 1_000, 1)[0]]
    batch = {"wav": pad(waves), "lengths": [4_410, 1_000], "sample_rate": [44_100, RATE], "speaker": [1, 2]}
    (found,) = read([batch])
    assert found.lengths.tolist() == [1_600, 1_000]
    np.testing.assert_array_equal(found.wav[0].numpy(), resample(waves[0][None].numpy(), 44_100, RATE)[0])
    assert torch.equal(found.wav[1, :1_000], waves[1])
    (said,) = read([(waves[0][None], ["a"])], sample_rate=44_100)
    assert torch.equal(said.wav, found.wav[:1])


def test_a_model_of_unknown_rate_hears_one_rate():
    first, other = ({"wav": WAV, "speaker": [0, 1, 2], "sr": rate} for rate in (8_000, RATE))
    assert len(read([first, first], model_rate=None)) == 2
    with pytest.raises(CorpusError, match="expected one sample rate; found 8000 Hz, 16000 Hz"):
        read([first, other], model_rate=None)
