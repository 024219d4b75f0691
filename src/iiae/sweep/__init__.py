"""Many runs: every combination of some settings."""
