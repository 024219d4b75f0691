"""Scores of a run that need no known factors."""

from __future__ import annotations

from typing import NamedTuple

from iiae.types import Measured


class LabelFree(NamedTuple):
    """Scores of a run that need no known factors, on validation pairs; more is better.

    | field | what |
    |---|---|
    | `nats`, `retrieval` | of `Matching` |
    | `interaction` | lower bound of I(X;Y;Z_s), nats |
    | `estimate` | `interaction_estimate`, which has no limit of log N, nats |
    | `inter_kl` | minus the nats of z_s that only one domain says |
    | `crossed` | R2 of a domain by the other's z_s, mean of both |
    | `independent` | minus HSIC of z_x and z_s given x, mean of both domains; from 20 pairs on |
    | `kept_apart` | minus the largest of `Gains.leaks`, by active means |
    | `nats_apart` | `nats` times (1 + `kept_apart`) |
    | `balance` | `retrieval` times (1 + `kept_apart`) |
    """

    nats: Measured
    retrieval: Measured
    interaction: Measured
    estimate: Measured
    inter_kl: Measured
    crossed: Measured
    independent: Measured
    kept_apart: Measured
    nats_apart: Measured
    balance: Measured
