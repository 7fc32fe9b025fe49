"""Figures of a server in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts requests. In a registry of its own, so that several servers of a process do not mix.

    Attributes:
      requests: by path and status; 499: the client had gone, or was too slow.
      seconds: of predictions, from the last byte of the image on; an answer that needs no network is none.
      pixels: of their images.
      under_way: requests for predictions.
    """

    def __init__(self) -> None:
        kept = self._registry = CollectorRegistry()
        ProcessCollector(registry=kept)
        self.requests = Counter("did_tf_requests", "Requests that were answered", ["path", "status"], registry=kept)
        self.seconds = Histogram("did_tf_predict_seconds", "Of a prediction", buckets=SECONDS, registry=kept)
        self.pixels = Counter("did_tf_pixels", "That were labelled", registry=kept)
        self.under_way = Gauge("did_tf_under_way", "Requests for predictions that are under way", registry=kept)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)
