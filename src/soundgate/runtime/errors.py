"""Named errors raised where files, configuration, formats and gates meet the outside world."""

from __future__ import annotations

from soundgate.runtime.paths import printable


class SoundgateError(Exception):
    """An error a user can act on: what it concerns, what was expected, what was found, what to do.

    Args:
        subject: the path, key or name the error is about.
        expected: what would have been right.
        found: what was there instead.
        remedy: what to do about it; may be empty where the first three already say it.
    """

    def __init__(self, subject: object, *, expected: str, found: str, remedy: str = "") -> None:
        self.subject = printable(str(subject))
        self.expected = expected
        self.found = found
        self.remedy = remedy
        tail = f" {remedy}" if remedy else ""
        super().__init__(printable(f"{subject}: expected {expected}; found {found}.{tail}"))

    def __reduce__(self) -> tuple:
        """Pickle across worker processes without losing the four parts."""
        return _rebuild, (type(self), self.subject, self.expected, self.found, self.remedy)


def _rebuild(kind: type[SoundgateError], subject: str, expected: str, found: str, remedy: str) -> SoundgateError:
    return kind(subject, expected=expected, found=found, remedy=remedy)


class AudioError(SoundgateError):
    """An audio file that must not be used; ``found`` is the reason given in reports."""


class CorpusError(SoundgateError):
    """A corpus that cannot be built or has nothing usable left."""


class DownloadError(SoundgateError):
    """A download that did not give the bytes its source list promises."""


class ConfigError(SoundgateError):
    """A parameter that is missing, unknown or out of range."""


class PipelineError(SoundgateError):
    """A pipeline that cannot be read or run as a whole."""


class FormatError(SoundgateError):
    """A file of ours (index, store, checkpoint) whose content is not what its format says."""


class WeightsError(SoundgateError):
    """Model weights that cannot be found, read safely, or fitted to the architecture."""


class GateError(SoundgateError):
    """A gate that cannot be computed from the metrics given."""


class TrainingError(SoundgateError):
    """Training that cannot begin or go on."""
