import fcntl
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import termios

import psutil
import pytest

from tests.waiting import LIMIT_S, wait_until

from .triage_clips import command, read_rows, write_clips

PROMPT = "q quit\r\n"


class Terminal:
    """The command under a pseudo-terminal."""

    def __init__(self, folder, *more, path=None):
        self.master, slave = pty.openpty()
        environment = os.environ | {"PATH": path or os.environ["PATH"]}
        self.process = subprocess.Popen(
            command(folder, "--terminal", *more), stdin=slave, stdout=slave, stderr=slave, env=environment,
            start_new_session=True, preexec_fn=_from_a_shell,
        )  # fmt: skip
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def until(self, text):
        """Return what is said up to and including ``text``."""
        said = ""
        while text not in said:
            ready, _, _ = select.select([self.master], [], [], LIMIT_S)
            assert ready, f"waited for {text!r}, heard {said!r}"
            said += os.read(self.master, 1).decode(errors="replace")
        return said

    def press(self, key):
        os.write(self.master, key.encode())

    def ends(self):
        """Return the exit code once it has ended by itself."""
        return self.process.wait(LIMIT_S)


def _from_a_shell():
    """Begin as an interactive shell begins a command: in its terminal, and not deaf to Ctrl-C.

    What a script starts in the background (``make test &``) ignores Ctrl-C, and so does all that it starts.
    """
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def player(tmp_path):
    """A folder with a player that only notes how it was called, and plays until it is ended."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "aplay"
    script.write_text(
        f"#!{sys.executable}\nimport signal, sys, wave\nwith wave.open(sys.argv[-1]) as f: n = f.getnframes()\n"
        f"open({str(tmp_path / 'played')!r}, 'a').write(f'{{sys.argv[1:-1]}} {{n}}\\n')\nsignal.pause()\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(folder)


def played(folder, lines):
    """Return what the player noted, once it noted that much."""

    def noted():
        said = (folder / "played").read_text() if (folder / "played").exists() else ""
        return said.splitlines() if said.count("\n") >= lines else []

    return wait_until(noted, f"{lines} sounds played")


def named(text):
    return re.search(r"tones/tone\d\.wav", text)[0]


def test_each_key_does_what_it_says_without_enter(tmp_path, player):
    write_clips(tmp_path, n=3)
    with Terminal(tmp_path, path=player) as terminal:
        first = named(terminal.until(PROMPT))
        played(tmp_path, 1)
        terminal.press("o")
        assert played(tmp_path, 2) == ["['-q'] 16000"] * 2
        terminal.press("x\x1b[A\x1bOA\x1b[1;5A")  # x is no key; the others are arrows, which end in an A and are none
        terminal.press("A")
        second = named(terminal.until(PROMPT))
        terminal.press("s")
        third = named(terminal.until(PROMPT))
        terminal.press("R")
        assert named(terminal.until(PROMPT)) == second
        terminal.press("q")
        terminal.until("1 accepted, 1 rejected")
        assert terminal.ends() == 0
    assert len({first, second, third}) == 3
    decisions = [(row["path"], row["decision"]) for row in read_rows(tmp_path / "triage/first/decisions.csv")]
    assert decisions == [(first, "accept"), (second, "skip"), (third, "reject")]
    assert [row["fake_wav"] for row in read_rows(tmp_path / "triage/first/accepted.csv")] == [first]
    assert [row["fake_wav"] for row in read_rows(tmp_path / "triage/first/rejected.csv")] == [third]


def test_a_killed_session_goes_on_and_ends_with_its_last_clip(tmp_path, player):
    write_clips(tmp_path, n=2)
    with Terminal(tmp_path, path=player) as terminal:
        terminal.until(PROMPT)
        terminal.press("a")
        second = named(terminal.until(PROMPT))
        terminal.process.kill()
        terminal.process.wait()
    with Terminal(tmp_path, path=player) as terminal:
        said = terminal.until(PROMPT)
        assert "2 clips, 1 accepted" in said and named(said) == second and "[2/2]" in said
        terminal.press("r")
        terminal.until("Every clip is accepted or rejected.")
        assert terminal.ends() == 0
    assert len(read_rows(tmp_path / "triage/first/decisions.csv")) == 2


def test_ctrl_c_and_ctrl_d_quit(tmp_path, player):
    write_clips(tmp_path, n=1)
    for key in ("\x03", "\x04"):
        with Terminal(tmp_path, path=player) as terminal:
            terminal.until(PROMPT)
            terminal.press(key)
            terminal.until("0 accepted, 0 rejected")
            assert terminal.ends() == 0


def test_without_a_player_it_says_so_and_names_the_clips(tmp_path):
    write_clips(tmp_path, n=1)
    (tmp_path / "none").mkdir()
    with Terminal(tmp_path, path=str(tmp_path / "none")) as terminal:
        said = terminal.until(PROMPT)
        assert "No player found (ffplay, paplay, aplay, afplay)" in said and "tones/tone0.wav" in said
        terminal.press("a")
        terminal.until("1 accepted")


def test_a_broken_clip_can_be_skipped_but_not_accepted(tmp_path, player):
    write_clips(tmp_path, n=0, extra=["gone.wav"])
    (tmp_path / "base").mkdir()
    with Terminal(tmp_path, path=player) as terminal:
        assert "It cannot be heard: missing" in terminal.until(PROMPT)
        terminal.press("a")
        terminal.until("Not accepted")
        terminal.press("s")
        assert "gone.wav" in terminal.until(PROMPT)
        terminal.press("r")
        terminal.until("0 accepted, 1 rejected")


def ended(pid):
    """Whether what a process started has ended."""
    return [child.status() for child in psutil.Process(pid).children()] == [psutil.STATUS_ZOMBIE]


def test_a_player_that_fails_is_said(tmp_path, player):
    write_clips(tmp_path, n=1)
    (tmp_path / "bin/aplay").write_text("#!/bin/sh\nexit 3\n")
    with Terminal(tmp_path, path=player) as terminal:
        terminal.until(PROMPT)
        wait_until(lambda: ended(terminal.process.pid), "the player's end")
        terminal.press("o")
        terminal.until("ended with exit code 3")


def test_lines_are_read_where_the_input_is_no_terminal(tmp_path):
    write_clips(tmp_path, n=3)
    done = subprocess.run(
        command(tmp_path, "--terminal"), input="a\n\nreject\n", capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0 and "1 accepted, 1 rejected" in done.stdout
    assert [row["decision"] for row in read_rows(tmp_path / "triage/first/decisions.csv")] == ["accept", "reject"]


def test_undo_arrows_pause_and_help(tmp_path, player):
    write_clips(tmp_path, n=3)
    with Terminal(tmp_path, path=player) as terminal:
        first = named(terminal.until(PROMPT))
        played(tmp_path, 1)
        terminal.press("?")
        terminal.until("u or z: undo")
        terminal.press("a")
        second = named(terminal.until(PROMPT))
        played(tmp_path, 2)
        terminal.press("\x1b[C")
        third = named(terminal.until(PROMPT))
        played(tmp_path, 3)
        terminal.press("\x1b[D")
        assert named(terminal.until(PROMPT)) == second and len({first, second, third}) == 3
        played(tmp_path, 4)
        (sounding,) = psutil.Process(terminal.process.pid).children()
        terminal.press(" ")
        wait_until(lambda: sounding.status() == psutil.STATUS_STOPPED, "the pause")
        terminal.press(" ")
        wait_until(lambda: sounding.status() != psutil.STATUS_STOPPED, "the sound going on")
        terminal.press("u")
        assert named(terminal.until(PROMPT)) == first
        terminal.press("z")
        terminal.until("There is nothing to undo.")
        terminal.until(PROMPT)
        terminal.press("r")
        assert named(terminal.until(PROMPT)) == second
    decisions = [row["decision"] for row in read_rows(tmp_path / "triage/first/decisions.csv")]
    assert decisions == ["accept", "undo", "reject"]


def test_a_blind_session_names_nothing(tmp_path, player):
    write_clips(tmp_path, n=2)
    with Terminal(tmp_path, "--blind", "--seed", "3", path=player) as terminal:
        said = terminal.until(PROMPT)
        assert "clip 1" in said and "tone" not in said and "lofi" not in said
