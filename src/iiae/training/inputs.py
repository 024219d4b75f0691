"""What the encoders of vectors take, learned from the training pairs before the first step."""

from __future__ import annotations

from iiae.data import PairSet
from iiae.model.components import Components
from iiae.model.iiae import IIAE
from iiae.model.units import DataUnits
from iiae.types import DOMAINS

ROWS = 1000  # that are read at once


def learn_inputs(model: IIAE, train: PairSet) -> None:
    """Learns the mean and deviation of each column, and principal components, where it has any."""
    for domain in DOMAINS:
        units, components = model.before_encoders(domain)
        if not isinstance(units, DataUnits):
            units.learn(train.domain_batches(domain, ROWS))
        if isinstance(components, Components):
            rows = train.domain_batches(domain, ROWS)
            components.learn(units(values) for values, _ in rows)
