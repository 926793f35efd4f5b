"""Requests worked on: so many at once, so many waiting, each within its time; counted and timed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from unet_tf.serving.errors import ServingError
from unet_tf.serving.limits import Limits, check_answer
from unet_tf.serving.models import Models
from unet_tf.serving.versions import DEFAULT, Signature

access = logging.getLogger("unet_tf.serving.access")

Found = TypeVar("Found")
SECONDS = (0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Asked(NamedTuple):
    """Which signature of which version a request asks for.

    Attributes:
        model: name.
        version: number, or None.
        label: of a version, or None.
        signature: name; "" for the default.
    """

    model: str
    version: int | None = None
    label: str | None = None
    signature: str = ""


class Answer(NamedTuple):
    """What a signature gave.

    Attributes:
        version: that was asked in the end.
        name: of its signature.
        outputs: by name.
    """

    version: int
    name: str
    outputs: dict[str, NDArray]


class Calls:
    """Works on requests within limits.

    Args:
        models: of the server.
        limits: of requests.

    Attributes:
        models: of the server.
        limits: of requests.
        registry: what Prometheus reads.
        draining: whether the server is about to end, and callers should go elsewhere.
        stopping: whether new requests are refused.
    """

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models, self.limits = models, limits
        self.draining = self.stopping = False
        self._pool = ThreadPoolExecutor(limits.running, thread_name_prefix="request")
        self._turn = asyncio.Semaphore(limits.running)
        self._waiting = self._running = self._held = 0
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "unet_tf_requests", "Requests that were answered.", ("protocol", "model", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "unet_tf_seconds", "Time from a request to its answer.", ("protocol", "model"), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._pixels = Counter("unet_tf_pixels", "Pixels that were segmented.", ("model",), registry=self.registry)
        for name, words, value in (
            ("unet_tf_queue", "Requests that wait for their turn.", lambda: self._waiting),
            ("unet_tf_running", "Requests that are worked on.", lambda: self._running),
            ("unet_tf_held_bytes", "Bytes of the requests that are read, wait or are worked on.", lambda: self._held),
        ):
            Gauge(name, words, registry=self.registry).set_function(value)

    async def run(self, work: Callable[[], Found], seconds: float | None = None) -> Found:
        """Do work in a thread when its turn comes.

        Args:
            work: what is to be done.
            seconds: within which; None for what the limits say.

        Raises:
            ServingError: too many wait, or the time is over; what has begun then goes on to its end, unheard.
        """
        if self.stopping:
            raise ServingError("UNAVAILABLE", "The server is stopping.")
        if self._turn.locked() and self._waiting >= self.limits.waiting:
            raise ServingError(
                "RESOURCE_EXHAUSTED", f"{self._waiting} requests wait already, as many as may. Try again later."
            )
        loop = asyncio.get_running_loop()
        limit = self.limits.seconds if seconds is None else min(seconds, self.limits.seconds)
        late = ServingError("DEADLINE_EXCEEDED", f"No answer within {limit:g} s. Send a smaller picture, or later.")
        until = loop.time() + limit
        self._waiting += 1
        try:
            async with asyncio.timeout_at(until):
                await self._turn.acquire()
        except TimeoutError:
            raise late from None
        finally:
            self._waiting -= 1
        self._running += 1
        future = loop.run_in_executor(self._pool, work)
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.shield(future)
        except TimeoutError:
            raise late from None

    def _done(self, future: asyncio.Future) -> None:
        self._running -= 1
        self._turn.release()
        if not future.cancelled():
            future.exception()  # of one that nobody hears any more

    def hold(self, count: int) -> None:
        """Count bytes of a request that come, or go where they are below 0.

        Raises:
            ServingError: all requests together would hold too many; these then are not counted.
        """
        if count > 0 and self._held + count > self.limits.held:
            words = f"All requests together may have {self.limits.held:,} bytes. Try again later."
            raise ServingError("RESOURCE_EXHAUSTED", words)
        self._held += count

    def predict(self, asked: Asked, inputs: Callable[[Signature], Mapping[str, NDArray]]) -> Answer:
        """Find the signature, read its inputs and call it; within `run`.

        Raises:
            ServingError: the request is not one of this signature, or too large.
        """
        number, version = self.models.get(asked.model).find(asked.version, asked.label)
        signature = version.signature(asked.signature)
        values = inputs(signature)
        signature.check(values)
        pixels = self.limits.count_pixels(values)
        check_answer(pixels * sum(one.bytes_a_pixel for one in signature.outputs.values()))
        found = signature(values)
        self._pixels.labels(asked.model).inc(pixels)
        return Answer(number, asked.signature or DEFAULT, found)

    @property
    def ready(self) -> bool:
        """Whether callers should send requests here."""
        return self.models.ready and not self.draining

    @property
    def idle(self) -> bool:
        """Whether nothing is worked on and nothing waits."""
        return not self._running and not self._waiting

    @contextmanager
    def counted(self, protocol: str, model: str, start: float | None = None) -> Iterator[dict[str, object]]:
        """Count and time a request, and write its line into the access log; the block adds what it knows to it.

        Args:
            protocol: by which it came.
            model: that it names.
            start: `time.monotonic()` when it came; None for now.
        """
        start = time.monotonic() if start is None else start
        line: dict[str, object] = {"protocol": protocol, "model": model, "status": "OK"}
        try:
            yield line
        except ServingError as error:
            line |= {"status": error.code, "error": str(error)}
            raise
        except asyncio.CancelledError:
            line["status"] = "CANCELLED"
            raise
        except BaseException as error:
            line |= {"status": "INTERNAL", "error": repr(error)}
            raise
        finally:
            seconds = time.monotonic() - start
            known = model if any(model == one.name for one in self.models) else ""  # names that callers make up
            self._requests.labels(protocol, known, line["status"]).inc()
            self._seconds.labels(protocol, known).observe(seconds)
            access.info(json.dumps(line | {"seconds": round(seconds, 4)}, default=str))

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
