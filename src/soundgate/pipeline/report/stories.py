"""What each track asks, which gates answer it, and which pictures and samples show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Story:
    """One track of the report.

    Args:
        question: that the track was built to answer.
        findings: gates that answer it, each with what its value is, in words; ``*`` stands for any variant. A gate
            that a run has not is left out.
        pictures: below ``plots/<profile>``, each with what it shows; those that a run has not are left out. ``*``
            stands for any folder.
        samples: the track's listening page below ``data/<profile>``; empty: it has none.
        details: reports below ``metrics/<profile>``; ``*`` stands for any folder.
    """

    question: str
    findings: Mapping[str, str]
    pictures: Mapping[str, str] = field(default_factory=dict)
    samples: str = ""
    details: tuple[str, ...] = ()


STORIES: Mapping[str, Story] = {
    "structure": Story(
        "Do the latents of an audio codec hold local structure that a lookup table could store?",
        {
            "*: sound.gain": "innovation explained by the best table, beyond any linear model",
            "*: sound.p_swap": "p-value of that gain against contexts of other utterances",
            "*/dynamics/train: gain_over_linear_1": "nats a dimension that the network gains over a linear model",
            "*/dynamics/inject: free_run_excess": "share by which its free runs are worse than direct predictions",
        },
        {
            "structure/*/gain.png": "Gain of every table over the linear model, with its nulls",
            "structure_dynamics/*/train/gain.png": "Gain of the trained predictor, by horizon",
            "structure_dynamics/*/inject/injection.png": "True state put back always, often, once, never",
        },
        details=("structure/*/report/report.md",),
    ),
    "rooms": Story(
        "Can triples (noisy source, room embedding, target in that room) be made that a restoration model can trust?",
        {
            "shared_speakers": "speakers that stand in more than one split",
            "shared_rooms": "rooms that stand in more than one split",
            "stored_snr_error_db": "distance of stored sources from the ratio of voice to noise asked for, dB (95 %)",
            "stored_t60_error": "error of T60 in stored targets against the catalogue of rooms",
            "embedding_t60_r2": "share of T60 that the stored embeddings tell of rooms left out",
            "probe: embedding_helps_model": "dB nearer to the target with the right embedding than without",
            "outside: dnsmos_sterilised_over_original": "DNSMOS that noise reduction adds to noisy voices",
        },
        {"rooms/overview.png": "What was drawn and what was stored"},
        details=("rooms/outside.md",),
    ),
    "transfer": Story(
        "Can music be played in another style while its notes stay, without parallel recordings?",
        {
            "codec_mps": "melody kept by the path in the codec's latents",
            "codec_sf": "style reached by the path in the codec's latents",
            "mel_over_best_baseline": "pairs of styles on which the mel path beats no method without training",
            "codec_over_best_baseline": "likewise, of the codec path",
            "outside: codec_note_recall": "notes kept in the codec path's sound, less those in true renderings",
            "outside: codec_exemplar_response": "how far an exemplar moves the codec path; 1: as real sources differ",
        },
        samples="transfer/samples/posttrain_samples/index.html",
        details=("transfer/report.md", "transfer/outside.md"),
    ),
    "editor": Story(
        "Can a recording be edited as an editor would edit it, and can an edit be recovered from its result?",
        {
            "labels_accuracy": "beats whose edit is recovered from raw and edited audio",
            "reconstruction_over_rule": "spectral distance that learned rendering saves over the rule, dB",
            "harmless: finished_song_cut": "share of a finished song that the rules cut",
            "harmless: dead_air_f1": "dead air found, F1",
            "policy_over_collapse": "reward of the policy beyond its own cut-or-keep collapse",
        },
        {"editor/timeline.png": "An edit: true, recovered, decided"},
        samples="editor/samples/index.html",
        details=("editor/report.md", "editor/harmless.md", "editor/outside.md"),
    ),
    "voice": Story(
        "Can speech be said in the voice of somebody never heard in training, known from seconds of reference?",
        {
            "outside: resemblyzer_closer_to_target": "conversions nearer to the target than to the source",
            "outside: over_best_baseline_similarity": "similarity to the target beyond the best untrained method",
            "outside: over_best_baseline_quality": "DNSMOS beyond the best untrained method",
            "outside: over_best_baseline_words": "words kept beyond the best untrained method",
            "held_out_faults_found": "planted training faults that the health monitor finds",
        },
        {
            "voice/audit/similarity.png": "Similarity of every system to source and target",
            "voice/health.png": "What the health monitor saw",
            "voice/embeddings/embeddings.png": "Embeddings of unseen speakers",
        },
        samples="voice/samples/samples.html",
        details=("voice/report.md", "voice/outside.md", "voice/ablations.md"),
    ),
}
