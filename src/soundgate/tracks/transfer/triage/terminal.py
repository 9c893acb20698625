"""The session in a terminal: the same keys, the sound through whatever player is installed."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from soundgate.runtime.errors import AudioError
from soundgate.tracks.transfer.triage.clips import Clip, file_inside, has_control
from soundgate.tracks.transfer.triage.decisions import ACCEPT, REJECT, SKIP
from soundgate.tracks.transfer.triage.listening import Prepared, prepare, wav_bytes
from soundgate.tracks.transfer.triage.session import Session

PLAYERS = {
    "ffplay": ["-nodisp", "-autoexit", "-loglevel", "error"],
    "paplay": [],
    "aplay": ["-q"],
    "afplay": [],
}
KEYS = {"a": ACCEPT, "r": REJECT, "s": SKIP}
_END_OF_INPUT = "\x04"
_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.?)")
_LEFT, _RIGHT = "\x00", "\x01"
_ARROWS = {"\x1b[D": _LEFT, "\x1bOD": _LEFT, "\x1b[C": _RIGHT, "\x1bOC": _RIGHT}
HINT = "a accept  r reject  s skip  u undo  \u2190 \u2192 previous, next  space pause  o replay  ? keys  q quit"
HELP = "u or z: undo; what is skipped comes back at the end; tags, notes and comparisons: in the page"


class Player:
    """A command that plays WAV files, one at a time.

    Attributes:
        command: its name and options; None where none is installed.
    """

    def __init__(self) -> None:
        found = [[path, *options] for name, options in PLAYERS.items() if (path := shutil.which(name))]
        self.command: list[str] | None = found[0] if found else None
        self._process: subprocess.Popen | None = None
        self._held = False

    def start(self, file: Path) -> None:
        """Play from the beginning, in place of what is playing."""
        self.close()
        if self.command:
            nowhere = subprocess.DEVNULL
            self._process = subprocess.Popen([*self.command, file], stdin=nowhere, stdout=nowhere, stderr=nowhere)

    def pause(self) -> None:
        """Hold what plays, or go on with it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT if self._held else signal.SIGSTOP)
            self._held = not self._held

    def close(self) -> None:
        """Be silent."""
        if self._process is not None:
            if self._held:
                self.pause()
            failed = self._process.poll()
            if failed:
                click.secho(f"{self.command[0]} ended with exit code {failed}.", fg="yellow")
            self._process.terminate()
            self._process.wait()
            self._process, self._held = None, False


class Keys:
    """What is pressed: one key at a time where the input is a terminal, else the first letter of each line."""

    def __init__(self) -> None:
        self._terminal = sys.stdin.isatty()
        self._waiting = ""

    @contextmanager
    def single(self) -> Iterator[None]:
        """Hand over keys without Enter, and show none of them, as long as this lasts."""
        if not self._terminal:
            yield
            return
        before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        try:
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def forget(self) -> None:
        """Drop what was pressed up to now: it was not meant for a clip that was not there yet."""
        if self._terminal:
            self._waiting = ""
            termios.tcflush(sys.stdin, termios.TCIFLUSH)

    def next(self) -> str:
        """Return the next key in lower case; q where the input ends."""
        if not self._terminal:
            line = sys.stdin.readline()
            return (line.strip() or line[:1].strip("\n"))[:1].lower() if line else "q"
        while not self._waiting:
            # Ctrl-C that comes just before a read would wait for the read's end.
            while not select.select([sys.stdin], [], [], 0.2)[0]:
                pass
            pressed = os.read(sys.stdin.fileno(), 64).decode(errors="replace")
            # The letters of another key's sequence are no keys.
            self._waiting = (
                _SEQUENCE.sub(lambda found: _ARROWS.get(found[0], ""), pressed) if pressed else _END_OF_INPUT
            )
        key, self._waiting = self._waiting[0], self._waiting[1:]
        return "q" if key == _END_OF_INPUT else key.lower()


def run_terminal(session: Session) -> None:
    """Go through a session until it is quit or interrupted, its input ends, or every clip is accepted or rejected.

    Args:
        session: what to decide on.
    """
    player, keys = Player(), Keys()
    if player.command is None:
        click.secho(f"No player found ({', '.join(PLAYERS)}): clips are named, not played.", fg="yellow")
    with TemporaryDirectory() as folder, keys.single(), closing(player), suppress(KeyboardInterrupt):
        chosen = None
        while clips := [chosen] if chosen else session.upcoming():
            key = _present(session, clips[0], player, keys, Path(folder) / "clip.wav")
            if key == "q":
                return
            chosen = _chosen(session, clips[0], key)
        click.echo("Every clip is accepted or rejected.")


def _chosen(session: Session, clip: Clip, key: str) -> Clip | None:
    """Return the clip that a key asks for; None: whichever is next to decide on."""
    if key in "uz":
        undone = session.undo()
        click.echo(f"  undone: {session.shown_name(undone)}" if undone else "  There is nothing to undo.")
        return undone or clip
    if key in (_LEFT, _RIGHT):
        place = session.queue.index(clip) + (1 if key == _RIGHT else -1)
        return session.queue[min(max(place, 0), len(session.queue) - 1)]
    return None


def _present(session: Session, clip: Clip, player: Player, keys: Keys, sound: Path) -> str:
    """Present one clip until it is decided on or left; return the key that did it."""
    counts = session.counts()
    finished = counts[ACCEPT] + counts[REJECT]
    facts = [f"{name} {cell}" for name, cell in session.facts(clip).items() if not has_control(name + cell)]
    click.secho(f"\n[{finished + 1}/{counts['total']}] {session.shown_name(clip)}", bold=True)
    if facts:
        click.echo(f"  {', '.join(facts)}")
    prepared = _prepared(session, clip)
    if prepared:
        sound.write_bytes(wav_bytes(prepared))
        click.echo(f"  {prepared.duration_s:.1f} s, {prepared.sample_rate} Hz, {prepared.channels} channel(s)")
        player.start(sound)
    keys.forget()
    click.echo(f"  {HINT}")
    while True:
        key = keys.next()
        if key and key in f"quz{_LEFT}{_RIGHT}":
            player.close()
            return key
        if key == "?":
            click.echo(f"  {HELP}")
        elif key == " ":
            player.pause()
        elif key == "o" and prepared:
            player.start(sound)
        elif key == "a" and not prepared:
            click.secho("  Not accepted: it cannot be heard.", fg="yellow")
        elif key in KEYS:
            player.close()
            session.decide(clip, KEYS[key])
            click.echo(f"  {KEYS[key]}")
            return key


def _prepared(session: Session, clip: Clip) -> Prepared | None:
    """Decode a clip, or say why it cannot be heard."""
    file = file_inside(session.listing.base, clip.path)
    try:
        if file is not None:
            return prepare(file)
        found = "outside the base folder"
    except AudioError as error:
        found = error.found
    click.secho(f"  It cannot be heard: {found}", fg="red")
    return None
