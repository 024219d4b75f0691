"""What the encoders of vectors take, learned from the training pairs before the first step."""

from __future__ import annotations

from iiae.data import PairSet
from iiae.model.components import Components
from iiae.model.iiae import IIAE
from iiae.model.units import DataUnits
from iiae.types import DOMAINS

ROWS = 1000  # that are read at once


def learn_inputs(model: IIAE, train: PairSet) -> None:
    """Learns each column's mean and deviation, where effects of covariates begin, and components.

    Only those that the model has.
    """
    for domain in DOMAINS:
        units, effects, components = model.before_encoders(domain)
        if not isinstance(units, DataUnits):
            units.learn(train.domain_batches(domain, ROWS))
        if effects:
            rows = train.domain_batches(domain, ROWS)
            effects.begin((units(values), *model.covariates_of(known)) for values, known in rows)
        if isinstance(components, Components):
            rows = train.domain_batches(domain, ROWS)
            components.learn(units(values) for values, _ in rows)
