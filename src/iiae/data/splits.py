"""Disjoint sets of pairs, drawn so that a pair stays in its set whatever else comes or goes."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from iiae.errors import DataError

TENTH = 0.1
HOLD_OUT, ORDER, LIMIT = 1, 2, 3  # independent draws
GROUP_SHARE = 0.05  # of all pairs: a larger group of equal x or y is not held together

log = logging.getLogger("iiae")


def held_out(pairs: int, validation: int, test: int, seed: int) -> tuple[np.ndarray, ...]:
    """Train, validation and test indices of `pairs` shuffled pairs, each sorted.

    By position, so for files whose number and order never change.

    Raises:
        DataError: Nothing would be left to train on.
    """
    _check_left(pairs, validation, test)
    order = np.random.default_rng(seed).permutation(pairs)
    parts = np.split(order, [pairs - validation - test, pairs - test])
    return tuple(np.sort(part) for part in parts)


def split_by_key(
    keys: np.ndarray, validation: int | None, test: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train, validation and test indices, each sorted, decided by each pair's key and the seed.

    Without numbers each of the held-out sets takes about a tenth: the pairs whose hash falls into
    its range, so that a pair that is added or removed moves no other. With a number, that many
    pairs with the smallest hashes are taken. Rows of one key stay together.

    Args:
        keys: Identity of each pair, uint64.
        validation: Number of validation pairs; None for about a tenth.
        test: Number of test pairs; None for about a tenth, 0 for none.
        seed: Of the draw.

    Raises:
        DataError: Fewer than 2 pairs would be left to train on.
    """
    hashes = _hashes(keys, seed, HOLD_OUT)
    tested = _lowest(hashes, test, TENTH)
    # the next higher hashes, so that a place that falls vacant in the test set is filled from here
    top = 2 * TENTH if test is None else TENTH
    count = max(1, round(TENTH * len(keys))) if validation is None and test else validation
    rest = np.flatnonzero(~tested)
    validated = np.zeros(len(keys), bool)
    validated[rest[_lowest(hashes[rest], count, top)]] = True
    trained = ~tested & ~validated
    if trained.sum() < 2:
        _check_left(len(keys), int(validated.sum()), int(tested.sum()))
    return np.flatnonzero(trained), np.flatnonzero(validated), np.flatnonzero(tested)


def limited(keys: np.ndarray, limit: int | None, seed: int) -> np.ndarray:
    """Sorted indices of `limit` pairs drawn at random, or of all pairs."""
    if limit is None or limit >= len(keys):
        return np.arange(len(keys))
    return np.sort(np.argsort(_hashes(keys, seed, LIMIT), kind="stable")[:limit])


def shuffled_by_key(keys: np.ndarray, seed: int) -> np.ndarray:
    """Indices in an order that keys and seed decide: one more key moves no other past another."""
    return np.argsort(_hashes(keys, seed, ORDER), kind="stable")


class PairKeys(NamedTuple):
    """Hashes of pairs, uint64: `own` identifies a pair; pairs of one `group` are held out together.

    Pairs that share an x or a y have one group.
    """

    own: np.ndarray
    group: np.ndarray

    def at(self, index: np.ndarray) -> PairKeys:
        """Those of some pairs."""
        return PairKeys(self.own[index], self.group[index])


def pair_keys(
    x: Sequence[str],
    y: Sequence[str],
    same_x: Sequence[str] | None = None,
    same_y: Sequence[str] | None = None,
) -> PairKeys:
    """Keys of pairs by the names of their x and y.

    Pairs of a group that is large, as with a constant x or a y of a few values, are held out one by
    one, and the log explains what that means.

    Args:
        x: Name of each x.
        y: Name of each y.
        same_x: What equal x have in common, where that is not their name.
        same_y: The same of y.
    """
    if not len(x):
        return PairKeys(np.empty(0, np.uint64), np.empty(0, np.uint64))
    own = _hashed(_apart(x, y))
    groups = _groups(same_x or x, same_y or y)
    sizes = np.bincount(groups)[groups]
    large = sizes > max(2, GROUP_SHARE * len(groups))
    if large.any():
        log.warning(
            "%d pairs share an x or a y with many others, up to %d with one another, and are held "
            "out one by one: what is tested on may occur in training too",
            large.sum(),
            sizes.max(),
        )
    if (~large & (sizes > 1)).any():
        count = int((~large & (sizes > 1)).sum())
        log.info("%d pairs share an x or a y with others; those that share stay in one set", count)
    # by y: one more x for it changes nothing
    smallest = np.full(groups.max() + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, groups, _hashed(y))
    return PairKeys(own, np.where(large, own, smallest[groups]))


def _apart(x: Sequence[str], y: Sequence[str]) -> Iterator[str]:
    """A name for each pair: equal pairs are numbered."""
    seen: Counter[tuple[str, str]] = Counter()
    for pair in zip(x, y, strict=True):
        yield "\0".join((*pair, str(seen[pair])))
        seen[pair] += 1


def key(text: str | bytes) -> int:
    """A 64-bit hash, the same on every machine."""
    content = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _hashed(texts: Iterable[str]) -> np.ndarray:
    return np.fromiter((key(text) for text in texts), np.uint64)


def _groups(x: Sequence[str], y: Sequence[str]) -> np.ndarray:
    """Number of the group of each pair: pairs linked by equal x or equal y are one group."""
    if len(set(x)) == len(set(y)) == len(x):
        return np.arange(len(x))
    parent = list(range(len(x)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for side in (x, y):
        first: dict[str, int] = {}
        for i, name in enumerate(side):
            parent[root(i)] = root(first.setdefault(name, i))
    return np.unique([root(i) for i in range(len(x))], return_inverse=True)[1].ravel()


def _lowest(hashes: np.ndarray, count: int | None, top: float) -> np.ndarray:
    """A mask of the `count` lowest hashes, or of those below a share of their range."""
    if count == 0 or not len(hashes):
        return np.zeros(len(hashes), bool)
    if count is None:
        mask = hashes < np.uint64(top * 2**64)
        most = max(1, len(hashes) // 3)
        if 0 < mask.sum() <= most:
            return mask
        count = most if mask.any() else 1  # of few pairs chance may take none or nearly all
    return hashes <= np.sort(hashes)[min(count, len(hashes)) - 1]


def _hashes(keys: np.ndarray, seed: int, purpose: int) -> np.ndarray:
    """Keys stirred with a seed, uniform over 64 bits (splitmix64's finaliser)."""
    z = keys.astype(np.uint64) ^ np.uint64(key(f"{purpose} {seed}"))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return z ^ (z >> np.uint64(31))


def check_enough(pairs: int, where: str) -> None:
    """Raises DataError if a list has too few pairs to be split in three.

    Args:
        pairs: Number of pairs.
        where: Of the list, for the message.
    """
    if pairs < 4:
        raise DataError(
            f"{where}: {pairs} pair{'s' * (pairs != 1)}; at least 4 are needed: 2 to train on, "
            "1 for validation, 1 for testing"
        )


def _check_left(pairs: int, validation: int, test: int) -> None:
    if validation + test > pairs - 2:
        raise DataError(
            f"{pairs} pairs cannot give {validation} for validation and {test} for testing: "
            "at least 2 must be left to train on; lower data.validation or data.test"
        )
