"""Voice conversion: speakers and content apart, a GAN that puts them together, and what checks it."""
