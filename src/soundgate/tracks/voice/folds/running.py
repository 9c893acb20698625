"""Run track voice once for each fold, in clones; killed at any time, the next call goes on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from soundgate.pipeline.clones import Asked, Clones
from soundgate.pipeline.code_hashes import Hashes, read_hashes
from soundgate.pipeline.compose import CONFIG_FOLDER, compose_text
from soundgate.pipeline.workplace import Workplace, refuse_failures
from soundgate.runtime.config import parse_section
from soundgate.tracks.voice.caching import CacheSettings
from soundgate.tracks.voice.folds.records import TABLES, Fold, folder_of, read_fold, write_fold

# What the figures of a fold depend on.
_STAGES = (
    "corpus-speech", "voice-speech", "voice-cache", "voice-speaker", "voice-judge", "voice-train", "voice-audit",
    "voice-outside",
)  # fmt: skip


class FoldOptions(NamedTuple):
    """The command's options.

    Args:
        profile: of the configuration.
        jobs: runs at a time.
        overrides: of the parameters, beside profile and fold.
    """

    profile: str
    jobs: int
    overrides: tuple[str, ...]


class FoldRuns:
    """The folds of a profile.

    Args:
        options: see `FoldOptions`.
        root: of the repository.

    Attributes:
        params: composed, without a fold.
        folder: of the finished folds.

    Raises:
        ConfigError: a wrong override.
    """

    def __init__(self, options: FoldOptions, root: Path) -> None:
        self.options, self.root = options, root
        self.overrides = (f"profile={options.profile}", *options.overrides)
        self.params = YAML(typ="safe").load(compose_text(self.overrides, root / CONFIG_FOLDER))
        self.n_folds = parse_section("voice.cache", self.params["voice"]["cache"], CacheSettings).split.folds
        # Profile `published` writes as `real`.
        self.profile = self.params["profile"][0]
        self.folder = folder_of(root, self.profile)

    def missing(self) -> list[int]:
        """Return the folds that are not there with the code and the parameters as they are."""
        code = _code(read_hashes(self.root))
        return [number for number in range(self.n_folds) if not self._is_there(number, code)]

    def run(self) -> list[int]:
        """Run what is missing, and return which folds those were.

        Raises:
            TrainingError: code that is not committed, or a run that fails; what did not fail is kept.
        """
        missing = self.missing()
        if not missing:
            return []
        output = Path("metrics", self.profile, "voice", TABLES["trials"])
        runs = {
            f"fold {number}": Asked(
                [*self.overrides, f"voice.cache.split.fold={number}"], output, f"{self.profile}-{number}"
            )
            for number in missing
        }
        count = min(self.options.jobs, len(missing))
        with Clones(self.root, "folds", count, quiet=self.options.jobs > 1) as clones:
            succeeded = clones.run_all(runs, self._keep)
        refuse_failures([run for run in runs if run not in succeeded])
        return missing

    def _keep(self, run: str, place: Workplace) -> None:
        """Take from a clone what a run gave."""
        number = int(run.removeprefix("fold "))
        fold = Fold(number, self.n_folds, place.commit, self.overrides, _code(read_hashes(place.folder)))
        write_fold(self.folder, fold, place.folder / "metrics" / self.profile / "voice")

    def _is_there(self, number: int, code: dict[str, str | None]) -> bool:
        found = read_fold(self.folder, number)
        return found is not None and found[1:] == (self.n_folds, found.commit, self.overrides, code)


def _code(hashes: Hashes) -> dict[str, str | None]:
    return {stage: hashes.get(stage) for stage in _STAGES}
