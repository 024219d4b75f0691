"""This model beside MultiVae's DMVAE and MMVAE+ on MNIST-CDCB at 32x32.

    pip install multivae
    IIAE_DATA=folder OMP_NUM_THREADS=1 python benchmarks/peers.py --steps 400
    IIAE_DATA=folder OMP_NUM_THREADS=1 python benchmarks/peers.py --seconds 300

Each model has the encoders and decoders of the `small` networks (ours a joint encoder besides),
the same Laplace likelihoods, z_s of 128 and exclusive latents of 8 values, the same batches of 128
in the same order, Adam at 1e-3 and float32. Objectives: ours as in experiments/mnist-cdcb.toml
with its warm-up scaled to the length of training; DMVAE and MMVAE+ as packaged, MMVAE+ with its
10 samples, each of which decodes four images a pair (`--k`). Every model takes the same number of
steps, or as many as it can in the same CPU seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from iiae.data import load
from iiae.data.base import PairSet
from iiae.data.sampling import AlignedBatches
from iiae.metrics.probes import held_out_ridge
from iiae.metrics.retrieval import partner_ranks
from iiae.model.build import build_model
from iiae.model.iiae import IIAE
from iiae.objectives import iiae_loss, iiae_terms, kl_warmup
from iiae.settings import Settings, make_settings
from iiae.types import Draw, Pair

SHARED, EXCLUSIVE, BATCH, WEIGHT = 128, 8, 128, 8000.0
MODELS = ("IIAE", "DMVAE", "MMVAE+")
WARM_UP = 2000 / 5436  # tau, of the experiment's steps


class Peer(NamedTuple):
    """A model to train, and what it says of x and of y."""

    module: nn.Module
    loss: Callable[[Pair, float], Tensor]  # of a batch, at a share of the training done
    shared: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
    exclusive: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
    decode: tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]


class Row(NamedTuple):
    """A line of the table."""

    parameters: int
    steps: int
    pairs_per_second: float
    recall: tuple[float, float]
    l1: tuple[float, float]
    leak: tuple[float, float]


def ours(model: IIAE, settings: Settings) -> Peer:
    objective = settings.objective

    def loss(pair: Pair, done: float) -> Tensor:
        q, p = model(pair)
        anneal = kl_warmup(round(1e4 * done), 1e4 * WARM_UP)
        return iiae_loss(iiae_terms(pair, q, p), objective.beta, objective.lam, anneal)

    return Peer(
        model,
        loss,
        (lambda x: model.encode_x(x).shared.mean, lambda y: model.encode_y(y).shared.mean),
        (lambda x: model.encode_x(x).exclusive.mean, lambda y: model.encode_y(y).exclusive.mean),
        (lambda s, e: model.decode_x(s, e).mean, lambda s, e: model.decode_y(s, e).mean),
    )


def multivae(kind: str, networks: IIAE, k: int) -> Peer:
    """A model of MultiVae, made of this package's networks."""
    from multivae.data.datasets.base import MultimodalBaseDataset
    from multivae.models import DMVAE, DMVAEConfig, MMVAEPlus, MMVAEPlusConfig
    from multivae.models.nn.base_architectures import BaseMultilatentEncoder
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn.base_architectures import BaseDecoder

    class Encoder(BaseMultilatentEncoder):
        def __init__(self, shared: nn.Module, exclusive: nn.Module):
            super().__init__()
            self.shared, self.exclusive = shared, exclusive
            self.latent_dim, self.style_dim = SHARED, EXCLUSIVE

        def forward(self, x: Tensor) -> Any:
            shared, style = self.shared(x).posterior, self.exclusive(x)
            return ModelOutput(
                embedding=shared.loc,
                log_covariance=shared.log_variance,
                style_embedding=style.loc,
                style_log_covariance=style.log_variance,
            )

    class Decoder(BaseDecoder):
        def __init__(self, net: nn.Module):
            super().__init__()
            self.net, self.latent_dim = net, SHARED + EXCLUSIVE

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.net(z[:, :SHARED], z[:, SHARED:]).mean)

    encoders = {
        "x": Encoder(networks.shared_given_x, networks.exclusive_x),
        "y": Encoder(networks.shared_given_y, networks.exclusive_y),
    }
    decoders = {"x": Decoder(networks.decoder_x), "y": Decoder(networks.decoder_y)}
    scale = 3 * 32 * 32 / WEIGHT
    common: dict[str, Any] = {
        "n_modalities": 2,
        "latent_dim": SHARED,
        "input_dims": {"x": (3, 32, 32), "y": (3, 32, 32)},
        "decoders_dist": {"x": "laplace", "y": "laplace"},
        "decoder_dist_params": {"x": {"scale": scale}, "y": {"scale": scale}},
    }
    if kind == "DMVAE":
        sizes = {"x": EXCLUSIVE, "y": EXCLUSIVE}
        config = DMVAEConfig(modalities_specific_dim=sizes, **common)
        module = DMVAE(config, encoders, decoders)
    else:
        config = MMVAEPlusConfig(modalities_specific_dim=EXCLUSIVE, K=k, **common)
        module = MMVAEPlus(config, encoders, decoders)

    def loss(pair: Pair, done: float) -> Tensor:
        value = module(MultimodalBaseDataset(data={"x": pair.x, "y": pair.y})).loss
        return value / len(pair.x) if kind == "MMVAE+" else value  # which sums over the batch

    def shared(name: str) -> Callable[[Tensor], Tensor]:
        def mean(value: Tensor) -> Tensor:
            told = encoders[name](value)
            if kind == "MMVAE+":
                return told.embedding
            # DMVAE: the product of one domain's normal with the prior
            return told.embedding / (1 + told.log_covariance.exp())

        return mean

    def decode(name: str) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda s, e: decoders[name](torch.cat([s, e], 1)).reconstruction

    return Peer(
        module,
        loss,
        (shared("x"), shared("y")),
        (lambda x: encoders["x"](x).style_embedding, lambda y: encoders["y"](y).style_embedding),
        (decode("x"), decode("y")),
    )


class Spent(NamedTuple):
    """Of training alone, in CPU seconds, which other programs do not lower; without the data's."""

    steps: int
    seconds: float


def train(peer: Peer, pairs: PairSet, length: Callable[[Spent], float], seed: int) -> Spent:
    """Until `length`, the share of the training that is done, is 1."""
    optimiser = torch.optim.Adam((p for p in peer.module.parameters() if p.requires_grad), lr=1e-3)
    batches = AlignedBatches(len(pairs), BATCH, seed)
    peer.module.train()

    def draws() -> Iterator[Draw]:
        for epoch in count():
            batches.set_epoch(epoch)
            yield from batches

    spent = Spent(0, 0.0)
    for draw in draws():
        if length(spent) >= 1:
            break
        pair = pairs.pairs(draw)
        begin = time.process_time()
        loss = peer.loss(pair, length(spent))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        spent = Spent(spent.steps + 1, spent.seconds + time.process_time() - begin)
    return spent


@torch.no_grad()
def measure(peer: Peer, pairs: PairSet, size: int, spent: Spent) -> Row:
    """On the first `size` test pairs; everything from posterior means."""
    peer.module.eval()
    pair = pairs.pairs(Draw(torch.arange(size)))
    s_x, s_y = (f(v) for f, v in zip(peer.shared, pair[:2], strict=True))
    e_x, e_y = (f(v) for f, v in zip(peer.exclusive, pair[:2], strict=True))
    made_y, made_x = peer.decode[1](s_x, e_y), peer.decode[0](s_y, e_x)
    factors = pairs.factors()
    fold = np.arange(size) % 5

    def leak(latent: Tensor, factor: str) -> float:
        return r2(latent, np.asarray(factors[factor].values)[:size], fold)

    return Row(
        sum(p.numel() for p in peer.module.parameters() if p.requires_grad),
        spent.steps,
        spent.steps * BATCH / spent.seconds,
        (recall(s_x, s_y), recall(s_y, s_x)),
        ((made_y - pair.y).abs().mean().item(), (made_x - pair.x).abs().mean().item()),
        (leak(s_x, "background colour"), leak(s_y, "digit colour")),
    )


def recall(queries: Tensor, gallery: Tensor) -> float:
    """Recall@1."""
    return (partner_ranks(queries, gallery) == 0).double().mean().item()


def r2(latent: Tensor, values: np.ndarray, fold: np.ndarray) -> float:
    """Of a ridge probe on held-out pairs, five folds; 0 is no better than the mean."""
    values = values.astype(np.float64)
    z = latent.double().numpy()
    z = (z - z.mean(0)) / z.std(0).clip(1e-8)
    error = np.square(held_out_ridge(z, values, fold) - values).sum()
    return 1 - error / np.square(values - values.mean(0)).sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--steps", type=int, default=400)
    until.add_argument("--seconds", type=float, help="CPU seconds of training, not steps")
    parser.add_argument("--test", type=int, default=10_000, help="test pairs, also the gallery")
    parser.add_argument("--limit", type=int, default=60_000, help="training digits")
    parser.add_argument("--k", type=int, default=10, help="samples in MMVAE+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    given = parser.parse_args()
    likelihood = {"kind": "laplace", "weight": WEIGHT}
    settings = make_settings(
        {
            "data": {"name": "mnist-cdcb", "limit": given.limit, "validation": 1},
            "model": {"family": "small", "exclusive": EXCLUSIVE, "shared": 8, "width": 16},
            "objective": {"beta": 0.2, "lam": 1.0, "x": likelihood, "y": likelihood},
        }
    )
    data = load(settings.data)

    def length(spent: Spent) -> float:
        if given.seconds:
            return spent.seconds / given.seconds
        return spent.steps / given.steps

    print(f"{len(data.train):,} digits to train on, {given.test} test pairs, seed {given.seed}")
    print("| | parameters | steps | pairs/CPU s | R@1 x to y / y to x, % | L1 | R2 x / y |")
    # L1: x to y / y to x. R2: background colour from z_s given x, digit colour from z_s given y
    print("|---|---|---|---|---|---|---|")
    for name in given.models:
        torch.manual_seed(given.seed)
        model = build_model(settings.model, settings.objective, data.train.shapes)
        peer = ours(model, settings) if name == "IIAE" else multivae(name, model, given.k)
        row = measure(peer, data.test, given.test, train(peer, data.train, length, given.seed))
        print(
            f"| {name} | {row.parameters:,} | {row.steps} | {row.pairs_per_second:.0f} "
            f"| {100 * row.recall[0]:.1f} / {100 * row.recall[1]:.1f} "
            f"| {row.l1[0]:.4f} / {row.l1[1]:.4f} | {row.leak[0]:.3f} / {row.leak[1]:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
