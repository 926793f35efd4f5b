"""What may go wrong with a request, as gRPC and HTTP call it."""

from __future__ import annotations

from http import HTTPStatus

STATUS = {
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "UNIMPLEMENTED": HTTPStatus.NOT_IMPLEMENTED,
    "INTERNAL": HTTPStatus.INTERNAL_SERVER_ERROR,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "DEADLINE_EXCEEDED": HTTPStatus.GATEWAY_TIMEOUT,
}
"""Codes of gRPC and the status of HTTP that TF Serving gives for each (util/net_http, `ToHTTPStatusCode`)."""


class ServingError(Exception):
    """A request that is not answered as it asks to be.

    Args:
        code: of gRPC, a key of `STATUS`.
        message: what was wrong, in words.
        status: of HTTP, where it is another than that of the code.

    Attributes:
        code: of gRPC.
        status: of HTTP.
    """

    def __init__(self, code: str, message: str, status: HTTPStatus | None = None) -> None:
        super().__init__(message)
        self.code, self.status = code, status or STATUS[code]


def invalid(message: str) -> ServingError:
    """The request itself is wrong."""
    return ServingError("INVALID_ARGUMENT", message)


def too_large(message: str) -> ServingError:
    """The request is larger than this server takes."""
    return ServingError("INVALID_ARGUMENT", message, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
