"""totalVI on the cells of `omics.py`; runs where scvi-tools is installed, with nothing of iiae.

    python totalvi.py cells.npz made.npz

Test and validation cells are trained on too, as a batch of their own whose proteins are all 0,
which totalVI takes as not measured: so its encoder has seen their RNA, which no other method has.
Whether predictions have the background is chosen on validation cells.
"""

import sys

import anndata
import numpy as np
import pandas as pd
import scvi


def main() -> None:
    source, out = sys.argv[1:]
    with np.load(source) as held:
        parts = [[held[f"{name}{i}"] for i in (0, 1)] for name in ("train", "validation", "test")]
        scvi.settings.seed = int(held["seed"])
    sizes = [len(x) for x, _ in parts]
    rna = np.concatenate([x for x, _ in parts]).astype(np.float32)
    seen = np.arange(len(rna)) < sizes[0]
    protein = np.concatenate([y for _, y in parts]) * seen[:, None]
    cells = anndata.AnnData(rna, pd.DataFrame({"part": np.where(seen, "seen", "held")}))
    cells.obs.index = cells.obs.index.astype(str)
    cells.obsm["protein"] = protein
    scvi.model.TOTALVI.setup_anndata(cells, "protein", batch_key="part")
    model = scvi.model.TOTALVI(cells)
    model.train(accelerator="cpu", enable_progress_bar=False)
    latent = model.get_latent_representation()
    held_out = slice(sizes[0], sizes[0] + sizes[1]), slice(sizes[0] + sizes[1], None)
    tried = []
    for background in (False, True):
        expected = model.get_normalized_expression(
            transform_batch="seen", n_samples=25, include_protein_background=background,
            indices=np.flatnonzero(~seen), return_numpy=True,
        )[1]  # fmt: skip
        made = np.log1p(expected)
        truth = np.log1p(parts[1][1])
        tried.append((correlation(made[: sizes[1]], truth), made[sizes[1] :]))
    best = max(tried, key=lambda one: one[0])[1]
    print("epochs", len(model.history["elbo_train"]), "validation r", [one[0] for one in tried])
    np.savez(out, predicted=best, train=latent[: sizes[0]], test=latent[held_out[1]])


def correlation(predicted: np.ndarray, truth: np.ndarray) -> float:
    pairs = zip(predicted.T, truth.T, strict=True)
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))


if __name__ == "__main__":
    main()
