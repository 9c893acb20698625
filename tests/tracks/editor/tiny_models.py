"""Random models of the editor, saved as the stages save theirs."""

import torch

from soundgate.tracks.editor.features import FeatureSettings
from soundgate.tracks.editor.policy.model import EditPredictor, save_predictor
from soundgate.tracks.editor.policy.settings import NetworkSettings as PolicyNetwork
from soundgate.tracks.editor.reconstruct.model import ReconstructionModel, save_reconstruction
from soundgate.tracks.editor.reconstruct.settings import NetworkSettings as ReconstructionSize
from soundgate.tracks.editor.vocoder.model import VocoderNetwork, save_vocoder
from soundgate.tracks.editor.vocoder.settings import NetworkSettings as VocoderSize


def save_tiny_models(folder, seed=0):
    torch.manual_seed(seed)
    size = PolicyNetwork(channels=8, dim=16, n_layers=1, n_heads=2, n_lags=4, dropout=0, n_frames=512)
    policy = EditPredictor(size, 128)
    # A first initialisation gives every beat one label.
    torch.nn.init.normal_(policy.head.weight, std=8)
    save_predictor(folder / "policy", policy)
    features = FeatureSettings()
    decoder = ReconstructionSize(
        dim=16, label_dim=8, n_encoder_layers=1, n_decoder_layers=1, n_heads=2, dropout=0, n_frames=512, patch=4,
        residual="gate", run_position=True,
    )  # fmt: skip
    save_reconstruction(folder / "reconstruction", ReconstructionModel(decoder, features))
    save_vocoder(folder / "vocoder", VocoderNetwork(VocoderSize(width=16, n_blocks=1), features))
    return folder
