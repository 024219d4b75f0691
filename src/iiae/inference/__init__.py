"""A trained run applied to files."""
