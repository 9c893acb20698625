"""From log-mel frames to sound: a small trained vocoder, and Griffin-Lim where there is none."""
