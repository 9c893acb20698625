"""Clips to decide on: a base folder of short tones, and the CSV that names them."""

import csv
import subprocess
import sys
import threading

import numpy as np

from soundgate.audio.io import write_audio
from soundgate.tracks.transfer.triage.clips import read_listing
from soundgate.tracks.transfer.triage.server import open_server
from soundgate.tracks.transfer.triage.session import Session

RATE = 8000
HEADER = ["clip_id", "fake_wav", "target_genre"]


def write_tone(path, hz=440.0, duration_s=2.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = np.arange(int(RATE * duration_s)) / RATE
    write_audio(path, (0.5 * np.sin(2 * np.pi * hz * seconds)).astype(np.float32), RATE)


def write_clips(folder, n=4, extra=(), duration_s=2.0):
    """Write ``base/tones/toneN.wav`` and ``clips.csv``; ``extra`` are more paths for its rows."""
    paths = [f"tones/tone{number}.wav" for number in range(n)]
    for number, path in enumerate(paths):
        write_tone(folder / "base" / path, 300.0 + 50 * number, duration_s)
    rows = [[f"c{number}", path, "lofi"] for number, path in enumerate([*paths, *extra])]
    write_rows(folder / "clips.csv", rows)
    return folder / "clips.csv"


def write_rows(path, rows, header=HEADER):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def read_rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Without what else `soundgate` imports, which takes longer than all of this.
_TRIAGE = "from soundgate.tracks.transfer.commands import triage; triage()"


def command(folder, *more, table="clips.csv", session="first"):
    return [sys.executable, "-c", _TRIAGE, *options(folder, *more, table=table, session=session)]


def options(folder, *more, table="clips.csv", session="first"):
    return [
        "--input-csv", str(folder / table), "--path-col", "fake_wav", "--base-dir", str(folder / "base"),
        "--session-name", session, "--out", str(folder / "triage"), *more,
    ]  # fmt: skip


class Here:
    """The page served by this process."""

    def __init__(self, folder, **others):
        listing = read_listing(folder / "clips.csv", "fake_wav", folder / "base")
        self.session = Session("first", listing, folder / "triage", **others)
        self.server = open_server(self.session, 0)
        self.url = f"http://127.0.0.1:{self.server.port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.session.close()


class Served:
    """The command running with its page; ``url`` is what it printed."""

    def __init__(self, folder, *more, **others):
        self.process = subprocess.Popen(command(folder, *more, **others), stdout=subprocess.PIPE, text=True)
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("Open http"):
                self.url = line.split()[1]
                return
        raise AssertionError(f"no page: {self.said}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
