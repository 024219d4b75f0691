"""Pure functions on arrays, useful without the rest of the package."""
