"""A small ClapModel, untrained, whose text side reads single letters, saved by its own library."""

import string
from pathlib import Path

import torch
from transformers import ClapAudioConfig, ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizer

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
# "Ġ" is a space to this kind of tokenizer.
VOCABULARY = {token: number for number, token in enumerate((*SPECIAL, *string.ascii_lowercase, "Ġ"))}


def save_talking_clap(folder: Path, logit_scale: float = 20.0) -> ClapModel:
    audio = ClapAudioConfig(
        patch_embeds_hidden_size=16, hidden_size=128, depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4]
    )
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"vocab_size": len(VOCABULARY), "pad_token_id": VOCABULARY["<pad>"]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ClapModel(ClapConfig(text_config=text, audio_config=audio.to_dict(), projection_dim=512)).eval()
    model.logit_scale_a.data.fill_(logit_scale).log_()
    # The two scales are separate parameters: whoever takes the wrong one is found out.
    model.logit_scale_t.data.fill_(1.5).log_()
    for part in (model, ClapFeatureExtractor(truncation="rand_trunc"), RobertaTokenizer(VOCABULARY, merges=[])):
        part.save_pretrained(folder)
    return model
