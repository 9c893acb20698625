"""What is given on the command line, written for Hydra: a path is taken as it is, whatever characters are in it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from soundgate.runtime.errors import ConfigError

# The last part of keys whose value is a path, in all of conf/.
PATH_KEYS = frozenset({"folder", "origin", "path", "previous_run", "weights"})
HOW_TO_QUOTE = (
    "A value with other characters than letters, digits and /-._ needs quotes of its own inside [...] and {...}: "
    "'corpus.voices.sources=[{name: mine, source: folder, origin: \"/home/jörg/My voices\", seed: 0}]'."
)
_ASSIGNMENT = re.compile(r"(?P<key>\+{0,2}[A-Za-z_][\w$./@:-]*)=(?P<value>.*)", re.DOTALL | re.ASCII)
_MAKE_A_LINK = "DVC cannot read such a name: make a link to the folder, ln -s FOLDER NAME, and give the link."
_PRIVATE_USE = range(0xE000, 0xF900)


@dataclass(frozen=True)
class Quoted:
    """Overrides that Hydra's grammar accepts.

    Attributes:
        overrides: those given, in their order.
        dollar: a character that stands for each ``$`` of values taken as they are: OmegaConf would take ``${...}``
            for a reference, also in a value that another key refers to.
    """

    overrides: list[str]
    dollar: str

    def restored(self, text: str) -> str:
        """Return the composed YAML with every ``$`` in its place."""
        return text.replace(self.dollar, "$")


def quoted(overrides: Sequence[str]) -> Quoted:
    """Quote the values that Hydra's grammar refuses or changes, and every path.

    A value in quotes, ``key="..."`` or ``key='...'``, is Hydra's to read, with ``${key}`` for another key's value;
    so are ``null``, lists and mappings, but for a path. ``~`` at the beginning of a path is the home folder.

    Raises:
        ConfigError: a value is not UTF-8, or has a character that ``params.yaml`` would not keep.
    """
    for override in overrides:
        _refuse_undecodable(override)
    used = set("".join(overrides))
    dollar = next(char for char in map(chr, _PRIVATE_USE) if char not in used)
    parser = OverridesParser.create()
    return Quoted([_quoted(override, parser, dollar) for override in overrides], dollar)


def _refuse_undecodable(override: str) -> None:
    try:
        override.encode()
    except UnicodeEncodeError as error:
        shown = override.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise ConfigError(shown, expected="a value in UTF-8", found="other bytes", remedy=_MAKE_A_LINK) from error
    if "\x85" in override:  # YAML reads this end of a line of other machines as a space.
        expected = "a value without the control character U+0085"
        raise ConfigError(override, expected=expected, found="one with it", remedy=_MAKE_A_LINK)


def _quoted(override: str, parser: OverridesParser, dollar: str) -> str:
    found = _ASSIGNMENT.fullmatch(override)
    if found is None:
        return override
    value, is_path = found["value"], is_path_key(found["key"])
    try:
        parsed = parser.parse_override(override).value()
    except (HydraException, ValueError):  # The second of a number of thousands of digits.
        if value.startswith(("[", "{")) and not is_path:
            return override
    else:
        if not is_path or parsed is None or (isinstance(parsed, str) and value.lstrip().startswith(('"', "'"))):
            return override
    if is_path:
        value = os.path.expanduser(value)
    return f"{found['key']}={QuotedString(value.replace('$', dollar), Quote.double).with_quotes()}"


def is_path_key(key: str) -> bool:
    """Return whether the value of a dotted key is a path."""
    return key.rpartition(".")[2] in PATH_KEYS
