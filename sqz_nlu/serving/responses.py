"""JSON bodies: answers, and errors in the shape of Rasa's server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sqz_nlu._version import __version__

# Of every 503: when to try again, in seconds.
RETRY = {"Retry-After": "1"}


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: the HTTP status.
        reason: a short name that programs can compare.
        message: what was seen, what was expected, what to do.
        details: further facts.
        headers: further headers of the response.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = {
            "version": __version__,
            "status": "failure",
            "message": message,
            "reason": reason,
            "details": details or {},
            "help": None,
            "code": int(status),
        }


def encode_json(value: object) -> bytes:
    """JSON in UTF-8. A lone surrogate, which UTF-8 cannot hold, becomes its JSON escape."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def json_response(
    body: bytes | Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response with a JSON body, encoded or not."""
    content = body if isinstance(body, bytes) else encode_json(body)
    return Response(content, status, headers, "application/json")


async def on_request_error(_: Request, error: Exception) -> Response:
    """Answers an `RequestError`."""
    assert isinstance(error, RequestError)
    return json_response(error.body, error.status, error.headers)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answers what the router refuses: an unknown path or method."""
    assert isinstance(error, HTTPException)
    reason = HTTPStatus(error.status_code).phrase.replace(" ", "")
    message = f"{request.method} {request.scope['path']}: {error.detail}."
    return await on_request_error(
        request, RequestError(error.status_code, reason, message, headers=error.headers)
    )


async def on_failure(request: Request, _: Exception) -> Response:
    """Answers a failure of the server itself; the log has its trace."""
    error = RequestError(500, "InternalServerError", "The server failed; its log says where.")
    return await on_request_error(request, error)
