"""The persistent gallery: latents of a collection on disk, searched and kept up to date."""
