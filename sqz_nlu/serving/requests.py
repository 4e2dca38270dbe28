"""What comes in: bodies within the limits, and who may ask."""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from sqz_nlu.serving.responses import RequestError

_BODY_SECONDS = 30.0


class Access:
    """Compares tokens in constant time.

    Args:
        token: the expected one; ``None`` lets everybody in.
    """

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else _bytes(token)

    def granted(self, request: Request) -> bool:
        """Whether ``?token=`` (as in Rasa) or ``Authorization: Bearer`` has the token."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            # Starlette reads headers as Latin-1; tokens are sent in UTF-8.
            return self.matches(bearer.strip().encode("latin-1"))
        return self.matches(request.query_params.get("token"))

    def matches(self, given: object) -> bool:
        """Whether this is the token."""
        if self._token is None:
            return True
        if isinstance(given, str):
            given = _bytes(given)
        return isinstance(given, bytes) and hmac.compare_digest(given, self._token)

    def demand(self, request: Request) -> None:
        """Raises `RequestError` for a request without the token."""
        if not self.granted(request):
            raise not_authenticated()


def not_authenticated() -> RequestError:
    """The answer to a missing or wrong token."""
    return RequestError(
        401,
        "NotAuthenticated",
        "User is not authenticated. Send the token as '?token=' or as 'Authorization: Bearer'.",
        headers={"WWW-Authenticate": "Bearer"},
    )


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """The JSON object in a request's body.

    Args:
        request: the request.
        limit: most bytes that are taken.

    Raises:
        RequestError: the body is too large, too slow, not JSON or no object.
    """
    try:
        body = await asyncio.wait_for(_read(request, limit), _BODY_SECONDS)
    except asyncio.TimeoutError:
        message = f"The request body did not arrive within {_BODY_SECONDS:g} s."
        raise RequestError(408, "RequestTimeout", message) from None
    except ClientDisconnect:
        raise RequestError(400, "BadRequest", "The client left before its request was complete.") from None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        message = f'The request body is not JSON ({error}). Expected an object such as {{"text": "hello"}}.'
        raise RequestError(400, "BadRequest", message) from None
    if not isinstance(value, dict):
        message = f"The request body is a JSON {type(value).__name__}; expected an object."
        raise RequestError(400, "BadRequest", message)
    return value


def check_text(text: object, limit: int, where: str = "text") -> str:
    """The text, if it is one.

    Raises:
        RequestError: it is missing, no string or longer than ``limit`` characters.
    """
    if not isinstance(text, str):
        message = f"'{where}' in the request body is {_kind(text)}; expected a string."
        raise RequestError(400, "BadRequest", message, {"parameter": where, "in": "body"})
    if len(text) > limit:
        message = f"'{where}' has {len(text)} characters; this server takes {limit} at most."
        raise RequestError(413, "TextTooLong", message, {"parameter": where, "in": "body"})
    return text


def check_texts(texts: object, most: int, limit: int) -> list[str]:
    """The texts of a batch, if they are that.

    Raises:
        RequestError: no list, more than ``most``, or one that `check_text` refuses.
    """
    if not isinstance(texts, list):
        message = f"'texts' in the request body is {_kind(texts)}; expected a list of strings."
        raise RequestError(400, "BadRequest", message, {"parameter": "texts", "in": "body"})
    if len(texts) > most:
        message = f"'texts' has {len(texts)} texts; this server takes {most} at most. Send several requests."
        raise RequestError(413, "BatchTooLarge", message, {"parameter": "texts", "in": "body"})
    return [check_text(text, limit, f"texts[{index}]") for index, text in enumerate(texts)]


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            message = f"The request body has more than {limit} bytes, the most this server takes."
            raise RequestError(413, "RequestTooLarge", message)
    return bytes(body)


def _kind(value: object) -> str:
    return "missing or null" if value is None else f"of type {type(value).__name__}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
