"""What the files of a run folder are called."""

SETTINGS, MODEL, METRICS, HISTORY, PAIRS = (
    "settings.toml",
    "model.safetensors",
    "metrics.json",
    "history.csv",
    "pairs.npz",
)
COMPARISON, FEATURES, EXAMPLES = "comparison.safetensors", "features.json", "examples.npz"
ESTIMATOR = "estimator.json"  # mean and scale of each feature, of an `IIAETransformer`
CHECKPOINT, BEST = "checkpoints/last.ckpt", "checkpoints/best.safetensors"
# what a run is, apart from how training may be resumed
FILES = (SETTINGS, MODEL, COMPARISON, EXAMPLES, FEATURES, METRICS, HISTORY, PAIRS, ESTIMATOR)
# all that goes when another run takes the folder
REPLACED = (*FILES, CHECKPOINT, BEST, "report.html")
