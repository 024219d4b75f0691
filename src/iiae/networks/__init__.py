"""Encoders and decoders: they take tensors and return distributions."""
