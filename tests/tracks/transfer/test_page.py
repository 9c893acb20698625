import numpy as np
import pandas as pd

from soundgate.evaluation.listening import page as listening
from soundgate.tracks.transfer.samples.page import write_page

ROW = {
    "clip_id": "a", "path_kind": "mel", "source_genre": "lofi", "target_genre": "classical",
    "score": "s1", "source_wav": "s.wav",
    "fake_wav": "f.wav", "reconstruction_wav": "r.wav", "true_wav": "", "picture": "p.png",
}  # fmt: skip


def test_a_clip_has_its_players_scores_and_genres(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(listening, "write_page", lambda folder, cards, *_: seen.extend(cards))
    write_page(tmp_path, pd.DataFrame([ROW | {"mps": 0.5, "mel_distance": np.nan}]), "t", {})
    (card,) = seen
    assert card.facets == {"Path": "mel", "From": "lofi", "To": "classical", "Score": "s1"}
    assert card.players["Transferred"] == "f.wav" and card.players["True target"] == ""
    assert card.picture == "p.png" and list(card.scores) == ["mps", "mel_distance"] and card.scores["mps"] == 0.5
