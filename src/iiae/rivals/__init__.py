"""The methods that Table 3 compares with, on precomputed features; see docs/rivals.md."""
