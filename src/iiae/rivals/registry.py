"""All methods by name, in the order of Table 3, baselines first."""

from __future__ import annotations

from iiae.rivals.baselines import AS_GIVEN, CCA, INFONCE
from iiae.rivals.caae import CAAE, CVAE
from iiae.rivals.frwgan import FRWGAN
from iiae.rivals.interface import Rival
from iiae.rivals.lcale import LCALE
from iiae.rivals.sae import SAE
from iiae.rivals.sem_pcyc import SEM_PCYC
from iiae.rivals.zsih import ZSIH

RIVALS: dict[str, Rival] = {
    rival.name: rival
    for rival in (AS_GIVEN, CCA, INFONCE, SAE, FRWGAN, ZSIH, CAAE, CVAE, SEM_PCYC, LCALE)
}
