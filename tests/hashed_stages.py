"""Imported, it has hashed the code of the stages that kill tests run, so that processes forked afterwards need not."""

from soundgate.runtime.code_hash import work_hash
from tests.pipeline_file import ROOT

STAGES = [
    "stages.dynamics.compare", "stages.dynamics.train",
    "stages.editor.cache", "stages.editor.imitate", "stages.editor.labels", "stages.editor.pairs",
    "stages.editor.policy", "stages.editor.reconstruct", "stages.editor.render", "stages.editor.songs",
    "stages.editor.vocoder",
    "stages.transfer.content", "stages.transfer.judge", "stages.transfer.mel",
    "stages.voice.cache", "stages.voice.judge", "stages.voice.speaker", "stages.voice.train",
]  # fmt: skip
for stage in STAGES:
    work_hash(ROOT, [stage])
