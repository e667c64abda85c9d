"""What the API server answers when it does not do what was asked.

ApiError              anything else: retried with backoff
├── NotFound          404: the object is not there
├── NoSuchKind        404 of the kind itself: its CRD is not installed
├── Conflict          409: it exists already, or it changed since it was read
├── Denied            403: RBAC, quota or an admission controller
└── Invalid           400, 422: the object is wrong
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """The API server did not do what was asked."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(ApiError):
    """The object is not there."""


class NoSuchKind(ApiError):
    """The kind is not served: its CRD is not installed."""


class Conflict(ApiError):
    """The object exists already, or changed since it was read."""


class Denied(ApiError):
    """RBAC, a quota or an admission controller says no."""


class Invalid(ApiError):
    """The object is wrong."""


BY_STATUS = {400: Invalid, 403: Denied, 409: Conflict, 422: Invalid}


def error_from(status: int, body: Mapping[str, Any]) -> ApiError:
    """The error that a Kubernetes `Status` body means.

    A 404 of an object names it in `details`; a 404 of a kind that is not served is plain text.
    """
    reason = str(body.get("reason") or "Unknown")
    message = str(body.get("message") or body)
    if status == 404:
        kind: type[ApiError] = NotFound if body.get("details", {}).get("name") else NoSuchKind
    else:
        kind = BY_STATUS.get(status, ApiError)
    return kind(status, reason, message)
