"""The server of bundles: HTTP and gRPC in one process, new versions taken up, an end that loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from socket import AF_INET, AF_INET6, create_server
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from unet_tf.errors import InputError
from unet_tf.exporting.bundle import VERSIONS, Bundle
from unet_tf.serving.calls import Calls
from unet_tf.serving.grpc_service import GrpcServer
from unet_tf.serving.http_app import HEAD, make_app
from unet_tf.serving.limits import Limits
from unet_tf.serving.models import Model, Models
from unet_tf.utils.signals import STOPPING

log = logging.getLogger("unet_tf.serving")

NAME = "unet"
"""Of the model where one bundle is served and no name is given: that of the kit and of the client."""
POLL = 1.0
"""Seconds between two looks at the folders of versions."""
IDLE = 75
"""Seconds that a connection stays without a request: more than the 60 of nginx and of load balancers, which else send a
request on a connection that is just being closed."""


class _Impatient(H11Protocol):
    """HTTP whose callers must send the head of each request soon, and read on while they are answered."""

    seconds = 30.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._unread, self._ended = 0, False
        self._late = self.loop.call_later(self.seconds, self._give_up)

    def _give_up(self) -> None:
        unread, before = self.transport.get_write_buffer_size(), self._unread
        if 0 < before <= unread:  # nothing of an answer was taken since the last look
            self.transport.abort()
            return
        self._unread = unread
        half = self.cycle is None or (self.cycle.response_complete and self.conn.trailing_data[0])
        if half and not unread and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()
            return
        self._late = self.loop.call_later(self.seconds, self._give_up)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer who sends no more but has sent a whole request; True keeps the connection."""
        self._ended = self.cycle is not None and self.conn.their_state in (h11.DONE, h11.MUST_CLOSE)
        return self._ended and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._ended:
            self.transport.close()
        self._late.cancel()
        self._late = self.loop.call_later(self.seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        super().connection_lost(exc)


class _Uvicorn(uvicorn.Server):
    """Uvicorn that leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Set no handlers."""
        yield


def models_of(bundles: Sequence[str], labels: Sequence[str] = ()) -> Models:
    """Read what is to be served.

    Args:
        bundles: folders of bundles, each BUNDLE or NAME=BUNDLE. One without a name is `unet`, several are called by
            their folders. What is a folder as a whole, or has a separator of folders before its first "=", has no name.
        labels: NAME:LABEL=VERSION each, or LABEL=VERSION where there is one model.

    Raises:
        InputError: one is no bundle, a name is no name or given twice, or a label is none.
    """
    if not bundles:
        raise InputError("A server needs a bundle at least: unet-tf serve BUNDLE.")
    found: dict[str, Model] = {}
    for given in bundles:
        name, separator, folder = given.partition("=")
        if not separator or Path(given).is_dir() or Path(name).name != name:
            folder, name = given, NAME if len(bundles) == 1 else Path(given).resolve().name
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise InputError(f"The name of a model takes letters, digits and . _ -; received {name!r}.")
        if name in found:
            raise InputError(f"Two models are called {name}. Give them names: unet-tf serve a=BUNDLE b=BUNDLE.")
        found[name] = Model(name, Bundle(folder).path.absolute() / VERSIONS)  # not resolved: a link may be switched
    for one in labels:
        match = re.fullmatch(r"(?:([^:=]+):)?([A-Za-z][A-Za-z0-9._-]*)=(\d{1,18})", one)
        names = [match[1]] if match and match[1] else list(found)
        if match is None or len(names) != 1 or names[0] not in found:
            raise InputError(
                f"A label is LABEL=VERSION, or NAME:LABEL=VERSION with a name of {', '.join(found)}; received {one!r}."
            )
        found[names[0]].labels[match[2]] = int(match[3])
    return Models(list(found.values()))


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    bundles: Sequence[str],
    host: str = "127.0.0.1",
    port: int = 8501,
    grpc_port: int = 8500,
    labels: Sequence[str] = (),
    limits: Limits | None = None,
    drain: float = 0.0,
    grace: float = 30.0,
    on_ready: Callable[[Mapping[str, int]], None] = lambda ports: None,
) -> None:
    """Serve bundles until a signal tells to stop.

    Args:
        bundles: as of `models_of`.
        host: address to listen on.
        port: of HTTP; 0 for one that is free.
        grpc_port: of gRPC; 0 for one that is free, -1 for none.
        labels: as of `models_of`.
        limits: of requests; None for the usual ones.
        drain: seconds after a signal in which requests are still taken, while callers are told to go elsewhere.
        grace: seconds that running requests then have; what is computed for one that was not answered by then still
            runs to its end before the process ends.
        on_ready: called with the ports, by "http" and "grpc", when requests are answered.

    Raises:
        InputError: there is no such bundle, none of its versions can be served, or a port is taken.
    """
    asyncio.run(_serve(models_of(bundles, labels), host, (port, grpc_port), limits or Limits(), drain, grace, on_ready))


async def _serve(
    models: Models,
    host: str,
    ports: tuple[int, int],
    limits: Limits,
    drain: float,
    grace: float,
    on_ready: Callable[[Mapping[str, int]], None],
) -> None:
    told = _listen(asyncio.get_running_loop())
    for model in models:
        await asyncio.to_thread(model.refresh)
        if told.is_set():
            log.info("Told to stop: nothing more is loaded.")
            return
        if not model.ready:
            said = [one.message for one in model.statuses() if one.message] or [f"{model.folder} holds no version."]
            raise InputError(f"Nothing of {model.name} can be served. {said[0]}", model.folder)
        for label, version in model.labels.items():
            if version not in model.numbers():
                log.warning(f"{model.name}: label {label} waits for version {version}, which is not there yet.")
    calls = Calls(models, limits)
    config = _http(calls, grace)
    try:
        family = AF_INET6 if ":" in host else AF_INET
        socket = create_server((host, ports[0]), family=family, backlog=config.backlog)
    except OSError as error:
        raise InputError(
            f"Port {ports[0]} of {host} cannot be listened on: {error.strerror}. Choose another --port or --host."
        ) from None
    known = {"http": socket.getsockname()[1]}
    server, rpc = _Uvicorn(config), None
    if ports[1] >= 0:
        try:
            rpc = GrpcServer(calls, host, ports[1])
        except RuntimeError:
            socket.close()
            raise InputError(
                f"Port {ports[1]} of {host} cannot be listened on. Choose another --grpc-port, or -1 for none."
            ) from None
        await rpc.start()
        known["grpc"] = rpc.port
    watching = asyncio.create_task(_watch(models))
    http = asyncio.create_task(server.serve([socket]))
    while not server.started and not http.done():
        await asyncio.sleep(0.01)
    try:
        on_ready(known)
        await told.wait()
        log.info("Told to stop: running requests are finished.")
    finally:
        calls.draining = True  # readiness falls first
        if rpc is not None:
            rpc.drain()
        await asyncio.sleep(drain)
        calls.stopping = server.should_exit = True
        await asyncio.gather(http, *([] if rpc is None else [rpc.stop(grace)]))
        watching.cancel()
        calls.close()


def _http(calls: Calls, grace: float) -> uvicorn.Config:
    """How HTTP is spoken."""
    return uvicorn.Config(
        make_app(calls), http=type("", (_Impatient,), {"seconds": calls.limits.reading}), ws="none", lifespan="off",
        log_config=None, access_log=False, server_header=False, h11_max_incomplete_event_size=HEAD,
        timeout_graceful_shutdown=int(grace), timeout_keep_alive=IDLE,
    )  # fmt: skip


def _listen(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """The event of the first signal, which ends the server when its requests are done; a second one ends it at once."""
    told = asyncio.Event()
    # what is ignored stays so, such as Ctrl-C in what a script runs in the background
    heard = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]

    def on_signal() -> None:
        told.set()
        for number in heard:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in heard:
        try:
            loop.add_signal_handler(number, on_signal)
        except NotImplementedError:  # on Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))
    return told


async def _watch(models: Models) -> None:
    """Take up new versions, and let go of old ones."""
    while True:
        await asyncio.sleep(POLL)
        for model in models:
            try:
                await asyncio.to_thread(model.refresh)
            except Exception:  # what is served goes on, whatever lies in the folder
                log.exception(f"{model.name}: its versions could not be looked at.")
