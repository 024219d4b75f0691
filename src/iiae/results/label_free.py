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
    | `inter_kl` | minus the nats of z_s that only one domain says |
    | `crossed` | R2 of a domain by the other's z_s, mean of both |
    | `kept_apart` | minus the gains of `Gains` beyond shuffled ones, by active means |
    | `balance` | `retrieval` times (1 + `kept_apart`) |
    """

    nats: Measured
    retrieval: Measured
    interaction: Measured
    inter_kl: Measured
    crossed: Measured
    kept_apart: Measured
    balance: Measured
