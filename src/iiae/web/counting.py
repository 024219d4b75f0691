"""Counts and times in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counts:
    """Requests by route and status, and how long each route took."""

    def __init__(self):
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.buckets: dict[str, list[int]] = {}
        self.seconds: Counter[str] = Counter()

    def add(self, route: str, method: str, status: int, seconds: float) -> None:
        """One answered request; `route` is a pattern, so that names are few."""
        self.requests[route, method, status] += 1
        self.seconds[route] += seconds  # pyright: ignore[reportArgumentType]
        buckets = self.buckets.setdefault(route, [0] * (len(SECONDS) + 1))
        buckets[bisect_left(SECONDS, seconds)] += 1

    def text(self, more: Mapping[str, tuple[str, str, float]]) -> str:
        """All of it; `more` gives name: (kind, help, value)."""
        lines = _head("iiae_requests_total", "counter", "Answered requests.")
        for (route, method, status), count in sorted(self.requests.items()):
            labels = f'route="{route}",method="{method}",status="{status}"'
            lines.append(f"iiae_requests_total{{{labels}}} {count}")
        lines += _head("iiae_request_seconds", "histogram", "Time to the last byte.")
        for route, buckets in sorted(self.buckets.items()):
            total = 0
            for bound, count in zip((*SECONDS, "+Inf"), buckets, strict=True):
                total += count
                lines.append(f'iiae_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'iiae_request_seconds_sum{{route="{route}"}} {self.seconds[route]:.6f}')
            lines.append(f'iiae_request_seconds_count{{route="{route}"}} {total}')
        for name, (kind, text, value) in more.items():
            lines += [*_head(name, kind, text), f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
