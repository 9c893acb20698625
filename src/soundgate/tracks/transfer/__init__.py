"""Content and style of music, and the transfer of style: in mel spectrograms and in codec latents."""
