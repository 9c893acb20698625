"""Run what follows from the trained stages with other seeds; killed at any time, the next call goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from soundgate.pipeline.clones import Asked, Clones
from soundgate.pipeline.code_hashes import read_hashes
from soundgate.pipeline.compose import CONFIG_FOLDER, compose_text
from soundgate.pipeline.gate_files import TRACKS, gates_path, read_gates
from soundgate.pipeline.gathering import GateSources
from soundgate.pipeline.seeds.records import ROOT, Record, Trained, confirm_records, read_record, write_record
from soundgate.pipeline.workplace import Workplace, refuse_failures
from soundgate.runtime.config import parse_section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import ConfigError


class SeedOptions(NamedTuple):
    """The command's options.

    Args:
        profile: of the configuration.
        tracks: whose spread is measured; none: all in which something is trained.
        n_seeds: trainings of each track, with the seeds from 0: the run itself is the first, and comes from the cache.
        jobs: runs at a time.
        overrides: of the parameters, beside profile and seed.
    """

    profile: str
    tracks: tuple[str, ...]
    n_seeds: int
    jobs: int
    overrides: tuple[str, ...]


class Planned(NamedTuple):
    """One run.

    Args:
        track: up to its gates.
        seed: of its trainings.
    """

    track: str
    seed: int

    def __str__(self) -> str:
        """Return what it is called in messages."""
        return f"{self.track}, seed {self.seed}"


class SeedRuns:
    """The runs of a profile with other seeds.

    Args:
        options: see `SeedOptions`.
        root: of the repository.

    Raises:
        ConfigError: a track in which nothing is trained, or a wrong override.
    """

    def __init__(self, options: SeedOptions, root: Path) -> None:
        self.options, self.root = options, root
        sections = YAML(typ="safe").load(compose_text(self._overrides(), root / CONFIG_FOLDER))["gates"]
        stages = {track: parse_section(f"gates.{track}", sections[track], GateSources).trained for track in sections}
        self.trained = {track: Trained(stages[track]) for track in TRACKS if stages.get(track)}
        unknown = [track for track in options.tracks if track not in self.trained]
        if unknown:
            expected = f"a track in which something is trained: {', '.join(self.trained)}"
            raise ConfigError("--track", expected=expected, found=", ".join(unknown))

    def missing(self) -> list[Planned]:
        """Return what is not measured with the code as it is, seed by seed."""
        tracks = self.options.tracks or tuple(self.trained)
        planned = [Planned(track, seed) for seed in range(self.options.n_seeds) for track in tracks]
        hashes = read_hashes(self.root)
        return [run for run in planned if not self._is_measured(run, self.trained[run.track].code(hashes))]

    def run(self) -> list[Path]:
        """Run what is missing, and return the files written.

        The run itself comes first: where it gives the values that it gave with older code, the other seeds of that code
        stand, see `confirm_records`.

        Raises:
            TrainingError: code that is not committed, or a run that fails; what did not fail is kept.
        """
        missing = self.missing()
        if not missing:
            return []
        count = min(self.options.jobs, len(missing))
        with Clones(self.root, "seeds", count, quiet=self.options.jobs > 1) as clones:
            runs = [run for run in missing if run.seed == 0]
            before = {run: read_record(self._path(run)) for run in runs if self._path(run).is_file()}
            succeeded = clones.run_all(self._asked(runs), self._keep)
            confirmed = self._confirmed({run: record for run, record in before.items() if run in succeeded})
            others = [run for run in missing if run.seed and self._path(run) not in confirmed]
            succeeded |= clones.run_all(self._asked(others), self._keep)
        refuse_failures([str(run) for run in missing if run not in succeeded and self._path(run) not in confirmed])
        return [*(self._path(run) for run in (*runs, *others)), *confirmed]

    def _confirmed(self, before: Mapping[Planned, Record]) -> list[Path]:
        """Return the records that stand for the code as it is, from those that the runs themselves had before."""
        confirmed = []
        for run, record in before.items():
            paths = confirm_records(self._path(run).parent, record, read_record(self._path(run)))
            logger.info("%s: %s", run, f"as before, so {len(paths)} other seeds stand" if paths else "measured anew")
            confirmed += paths
        return confirmed

    def _asked(self, runs: Sequence[Planned]) -> dict[Planned, Asked]:
        profile = self.options.profile
        return {
            run: Asked(
                self._overrides(f"training_seed={run.seed}"),
                gates_path(profile, run.track),
                f"{profile}-{run.track}-{run.seed}",
            )
            for run in runs
        }

    def _keep(self, run: Planned, place: Workplace) -> None:
        """Write down what a run gave."""
        gates = read_gates(place.folder, self.options.profile, (run.track,))[run.track]
        code = self.trained[run.track].code(read_hashes(place.folder))
        values = {name: gate["value"] for name, gate in gates.items()}
        write_record(self._path(run).parent, Record(run.seed, place.commit, self.options.overrides, code, values))

    def _is_measured(self, run: Planned, code: dict) -> bool:
        path = self._path(run)
        if not path.is_file():
            return False
        record = read_record(path)
        return record.code == code and record.overrides == self.options.overrides

    def _path(self, run: Planned) -> Path:
        return self.root / ROOT / self.options.profile / run.track / f"{run.seed}.json"

    def _overrides(self, *further: str) -> Sequence[str]:
        return [f"profile={self.options.profile}", *self.options.overrides, *further]
