"""Lab 3 on codec latents: a translator of latents, a judge of style in them, and a critic of waves."""
