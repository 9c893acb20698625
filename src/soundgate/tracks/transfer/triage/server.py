"""The page of a session, served to this machine alone."""

from __future__ import annotations

import logging
import os
import socket
import threading
import webbrowser
from dataclasses import replace
from io import BytesIO

import click
from flask import Blueprint, Flask, Response, current_app, jsonify, render_template, request, send_file
from werkzeug.serving import BaseWSGIServer, make_server

from soundgate.runtime.errors import AudioError, ConfigError
from soundgate.tracks.transfer.triage.clips import ID_COLUMN, Clip, file_inside
from soundgate.tracks.transfer.triage.decisions import ACCEPT, DECISIONS
from soundgate.tracks.transfer.triage.listening import (
    BANDS,
    Prepared,
    frequency_ticks,
    prepare,
    spectrogram,
    wav_bytes,
    waveform,
)
from soundgate.tracks.transfer.triage.session import Session
from soundgate.tracks.transfer.triage.views import FACETS, View, choices, seen
from soundgate.tracks.transfer.triage.voices import CLIP, Voice, voices_of

LOOPBACK = "127.0.0.1"
PAGE_LIMIT = 200
REMARK_LIMIT = 4000
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
pages = Blueprint("pages", __name__)


class Refusal(Exception):
    """A request that gets no answer but a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def serve(session: Session, port: int, auto_open: bool) -> None:
    """Serve a session until it is quit, by its page or by an interrupt.

    Args:
        session: what to decide on.
        port: 0 takes a free one.
        auto_open: whether to open the page in the user's browser.

    Raises:
        ConfigError: the port is taken.
    """
    server = open_server(session, port)
    url = f"http://{LOOPBACK}:{server.port}/"
    click.echo(f"Open {url} to listen; q there or Ctrl-C here ends the session.")
    if auto_open:
        webbrowser.open(url)
    server.serve_forever()


def open_server(session: Session, port: int) -> BaseWSGIServer:
    """Return a server that already listens, and ends by itself when its page is quit; see `serve`."""
    app = create_app(session)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Bound here: werkzeug ends the process where a port is taken.
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError as error:
            found = f"{port}: {error.strerror}"
            raise ConfigError("--port", expected="a free port", found=found, remedy="0 takes a free one.") from error
        listener.listen()
        server = make_server(LOOPBACK, 0, app, threaded=True, fd=listener.fileno())
    app.config["QUIT"] = lambda: threading.Thread(target=server.shutdown).start()
    return server


def create_app(session: Session) -> Flask:
    """Return the application; nobody but a page of its own, on this machine, is answered."""
    app = Flask(__name__)
    app.config |= {"SESSION": session, "QUIT": lambda: None, "MAX_CONTENT_LENGTH": 2**16}
    app.json.sort_keys = False
    app.register_blueprint(pages)
    return app


def _session() -> Session:
    return current_app.config["SESSION"]


@pages.before_app_request
def _refuse_strangers() -> None:
    """Refuse names that are not this machine's (DNS rebinding) and writes from other sites' pages."""
    if request.host.partition(":")[0] not in (LOOPBACK, "localhost"):
        raise Refusal(403, "this host name is not served")
    if request.method != "GET" and request.headers.get("Origin", request.host_url[:-1]) != request.host_url[:-1]:
        raise Refusal(403, "another site's page may not decide")


@pages.app_errorhandler(Refusal)
def _refused(refusal: Refusal) -> tuple[Response, int]:
    return jsonify(error=str(refusal)), refusal.status


@pages.after_app_request
def _guarded(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response


@pages.get("/")
def _index() -> str:
    session = _session()
    return render_template(
        "triage.html",
        name=session.name,
        n_unusable=len(session.listing.unusable),
        blind=session.blind,
        choices=choices(session),
    )


@pages.get("/api/state")
def _state() -> Response:
    session = _session()
    whole = session.upcoming(len(session.queue))
    wished = seen(session, whole, replace(_view(), state=""))
    coming = [_described(clip) for clip in dict.fromkeys([*wished[:2], *whole[:4]])][:2]
    return jsonify(counts=session.counts(), coming=coming, folder=str(session.folder))


@pages.get("/api/clips")
def _clips() -> Response:
    """Answer with one page of the clips in the session's order, filtered by state and by text in the path."""
    session = _session()
    offset = max(request.args.get("offset", 0, int), 0)
    limit = min(max(request.args.get("limit", PAGE_LIMIT, int), 1), PAGE_LIMIT)
    fitting = seen(session, [*session.queue, *session.listing.unusable], _view())
    rows = [_described(clip) for clip in fitting[offset : offset + limit]]
    return jsonify(total=len(fitting), offset=offset, clips=rows)


@pages.get("/api/neighbour")
def _neighbour() -> Response:
    """Answer with the clip ``step`` places from another in the view; null where there is none."""
    session, clip = _session(), _requested(request.args.get("id"))
    step = request.args.get("step", 1, int)
    fitting = seen(session, session.queue, _view())
    if clip in fitting:
        place = fitting.index(clip) + step
    else:
        place = 0 if step > 0 else -1 + len(fitting)
    return jsonify(clip=_described(fitting[place]) if 0 <= place < len(fitting) else None)


@pages.get("/api/clip")
def _clip() -> Response:
    """Answer with what there is to see of a clip, or why it cannot be heard."""
    prepared, voices = _voice()
    return jsonify(
        duration_s=prepared.duration_s,
        sample_rate=prepared.sample_rate,
        channels=prepared.channels,
        waveform=waveform(prepared),
        ticks=frequency_ticks(prepared),
        bands=BANDS,
        voices={name: round(voice.gain_db, 2) for name, voice in voices.items()},
    )


@pages.get("/api/audio")
def _audio() -> Response:
    prepared, voices = _voice()
    wav = wav_bytes(prepared, voices[request.args.get("voice", CLIP)].gain_db)
    return send_file(BytesIO(wav), mimetype="audio/wav", conditional=True)


@pages.get("/api/spectrogram")
def _spectrogram() -> Response:
    """Answer with the picture's bytes, the lowest band's row first."""
    prepared, _ = _voice()
    return Response(spectrogram(prepared).tobytes(), mimetype="application/octet-stream")


@pages.post("/api/decisions")
def _decide() -> Response:
    values = request.get_json()
    values = values if isinstance(values, dict) else {}
    clip, decision = _requested(values.get("clip_id")), values.get("decision")
    if decision not in DECISIONS:
        raise Refusal(400, f"a decision is one of {', '.join(DECISIONS)}")
    if clip.problem:
        raise Refusal(403, clip.problem)
    if decision == ACCEPT:
        _prepared(clip)
    try:
        _session().decide(clip, decision)
    except OSError as error:
        raise Refusal(507, f"not saved: {error.strerror or error}") from error
    return _state()


@pages.post("/api/undo")
def _undo() -> Response:
    request.get_json()
    try:
        clip = _session().undo()
    except OSError as error:
        raise Refusal(507, f"not saved: {error.strerror or error}") from error
    if clip is None:
        raise Refusal(409, "there is nothing to undo")
    return jsonify(clip=_described(clip), counts=_session().counts())


@pages.post("/api/remarks")
def _remark() -> Response:
    values = request.get_json()
    values = values if isinstance(values, dict) else {}
    clip, tags, note = _requested(values.get("clip_id")), values.get("tags"), values.get("note")
    if not isinstance(tags, str) or not isinstance(note, str) or len(tags) + len(note) > REMARK_LIMIT:
        raise Refusal(400, f"tags and note are texts of at most {REMARK_LIMIT} characters")
    try:
        tags, note = _session().set_remark(clip, tags, note)
    except OSError as error:
        raise Refusal(507, f"not saved: {error.strerror or error}") from error
    return jsonify(tags=tags, note=note)


@pages.post("/api/lists")
def _write_lists() -> Response:
    request.get_json()
    return jsonify(written=[str(path) for path in _session().write_lists()])


@pages.post("/api/quit")
def _quit() -> Response:
    response = _write_lists()
    response.call_on_close(current_app.config["QUIT"])
    return response


def _described(clip: Clip) -> dict:
    session = _session()
    return {
        "clip_id": session.shown_id(clip),
        "path": session.shown_name(clip),
        "state": session.state(clip),
        "number": session.place(clip),
        "problem": clip.problem,
        "facts": {name: cell for name, cell in session.facts(clip).items() if not _names_file(name)},
        "tags": session.remark(clip)[0],
        "note": session.remark(clip)[1],
    }


def _names_file(column: str) -> bool:
    """Say whether a column only names the clip or files beside it."""
    return column in (ID_COLUMN, "picture") or column.endswith("_wav")


def _view() -> View:
    """Return the view that the request's query asks for."""
    wished = request.args
    return View(
        state=wished.get("state", ""),
        search=wished.get("search", ""),
        tag=wished.get("tag", ""),
        facets={name: wished.get(name, "") for name in FACETS},
        sort=wished.get("sort", ""),
        descending=wished.get("descending") == "1",
    )


def _voice() -> tuple[Prepared, dict[str, Voice]]:
    """Return the recording a request asks for, of a clip's voices, and all of these; or refuse, see `_prepared`."""
    clip = _requested(request.args.get("id"))
    voices = voices_of(_session().listing, clip, _prepared(clip))
    name = request.args.get("voice", CLIP)
    if name not in voices:
        raise Refusal(404, f"this clip has no {name} that can be heard")
    return voices[name].prepared, voices


def _requested(clip_id: object) -> Clip:
    clip = _session().find(clip_id) if isinstance(clip_id, str) else None
    if clip is None:
        raise Refusal(404, "no such clip")
    return clip


def _prepared(clip: Clip) -> Prepared:
    """Decode a clip, or refuse: 403 outside the base folder, 404 missing, 422 no usable audio."""
    file = None if clip.problem else file_inside(_session().listing.base, clip.path)
    if file is None:
        raise Refusal(403, clip.problem or "outside the base folder")
    try:
        return prepare(file)
    except AudioError as error:
        raise Refusal(422 if os.path.isfile(file) else 404, error.found) from error
