"""The model: seven networks composed, and what its latents are."""
