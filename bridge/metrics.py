"""What is counted and measured, for Prometheus. A registry of its own: nothing global."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.posts = Counter(
            "callbridge_posts", "Posts of PBXes by what became of them", ["source", "result"], registry=self.registry
        )
        self.events = Counter("callbridge_events", "Events kept", ["source", "type"], registry=self.registry)
        self.contradictions = Counter(
            "callbridge_answered_contradictions",
            "Hangups whose `answered` flag contradicted the evidence",
            ["source"],
            registry=self.registry,
        )
        self.accept_seconds = Histogram(
            "callbridge_accept_seconds",
            "Seconds from a post to its commit",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.attempts = Counter(
            "callbridge_attempts", "Tries to deliver by their outcome", ["connector", "outcome"], registry=self.registry
        )
        self.attempt_seconds = Histogram(
            "callbridge_attempt_seconds", "Seconds a try took", ["connector"], registry=self.registry
        )
        self.waiting = Gauge(
            "callbridge_deliveries_waiting", "Deliveries that wait", ["connector"], registry=self.registry
        )
        self.stopped = Gauge(
            "callbridge_connector_stopped",
            "1 for a connector that is paused, failed or has an open breaker",
            ["connector"],
            registry=self.registry,
        )

    def observe_attempt(self, connector: str, outcome: str, seconds: float) -> None:
        """Count a try."""
        self.attempts.labels(connector, outcome).inc()
        self.attempt_seconds.labels(connector).observe(seconds)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
