"""The sizes of conf/size: what docs/voice.md says of their networks is so."""

import re

import pytest

from soundgate.runtime.config import parse_section
from soundgate.tracks.voice.features import FeatureSettings
from soundgate.tracks.voice.gan.critics import Critics
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.model.converter import VoiceConverter
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.tracks.voice.speaker.settings import SpeakerSettings
from tests.pipeline.compositions import composed
from tests.pipeline_file import ROOT


def column(size):
    """Return a size's cells of the table in the documentation by the name of their row."""
    section = (ROOT / "docs/voice.md").read_text().split("## Sizes")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\|.*\|$", section, re.M)]
    place = rows[0].index(f"`{size}`")
    return {row[0]: row[place] for row in rows[2:]}


def count(module):
    return sum(own.numel() for own in module.parameters())


@pytest.mark.parametrize("size", ["none", "small", "full"])
def test_networks_have_as_many_parameters_as_the_documentation_says(size):
    voice, said = composed(f"size={size}")["voice"], column(size)
    train = parse_section("voice.train", voice["train"], TrainSettings)
    features = parse_section("voice.cache.features", voice["cache"]["features"], FeatureSettings)
    encoder = SpeakerEncoder(parse_section("voice.speaker", voice["speaker"], SpeakerSettings).network, features)
    converter, critics = VoiceConverter(train.network, features, encoder), Critics(train)
    assert f"{count(encoder):,}" == said["parameters: speaker encoder"]
    assert f"{count(converter) - count(encoder):,}" == said["converter besides"]
    of_both = f"{count(critics.mpd):,}, {count(critics.mrd):,}"
    assert of_both == said["discriminators of periods, of spectrograms"]


@pytest.mark.parametrize("size", ["none", "small", "full", "h200"])
def test_lengths_and_rates_are_those_that_the_documentation_says(size):
    train = parse_section("voice.train", composed(f"size={size}")["voice"]["train"], TrainSettings)
    said = column(size)
    n_steps = train.task_loop.steps_per_epoch * train.loop.epochs
    assert said["steps, before discriminators join"] == f"{n_steps:,}, {round(train.gan_start * n_steps):,}"
    assert said["crops a step, seconds of each"] == f"{train.loop.batch_size}, {train.segment_s:g}"
    rates = [float(rate) for rate in said["rates of converter and discriminators"].split(", ")]
    assert rates == pytest.approx([train.learning_rate, train.learning_rate * train.critic_rate])
    decoder = train.network.decoder
    assert said["decoder: blocks x channels"] == f"{decoder.n_blocks} x {decoder.width}"
