"""The protocol that an address names, with the packages that it takes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.serving.transport import Transport
from unet_tf.utils.extras import import_extra

REST, GRPC, V2 = ("http", "https"), ("grpc", "grpcs"), ("v2+http", "v2+https")


def connect(url: str, timeout: float, ca: str | Path | None = None, about: Description | None = None) -> Transport:
    """Make ready to ask a server; nothing is sent.

    Args:
        url: such as http://host:8501 or grpc://host:8500; https:// or grpcs:// for TLS; v2+http:// or v2+https:// for
            servers that speak V2 alone, such as KServe.
        timeout: seconds for each answer.
        ca: file of certificates that are trusted; None for the usual ones.
        about: of the bundle that is served; None where none was given.

    Raises:
        InputError: the address or the file cannot be used, or a package is not installed.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in REST + GRPC + V2 and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none
        known = False
    if not known:
        raise InputError(
            "The address of a server is http://HOST:8501 or grpc://HOST:8500, https:// or grpcs:// with TLS, or "
            f"v2+http://HOST:8080 for V2; received {url!r}."
        )
    for name in ("grpc", "google.protobuf") if parts.scheme in GRPC else ("httpx",):
        import_extra(f"A client needs the package {name}: pip install 'unet-tf[client]'.", name)
    if parts.scheme in REST:
        from unet_tf.serving.rest_client import RestTransport

        return RestTransport(url, timeout, ca)
    if parts.scheme in V2:
        from unet_tf.serving.v2_client import V2Transport

        return V2Transport(url.removeprefix("v2+"), timeout, ca, about)
    from unet_tf.serving.grpc_client import GrpcTransport

    return GrpcTransport(url, timeout, ca)
