"""Times as status writes them: RFC 3339 in UTC, whole seconds."""

from datetime import UTC, datetime


def to_text(time: datetime) -> str:
    """2026-11-22T17:15:14Z"""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_text(text: str) -> datetime:
    """The time that a text of the API server or of ours says; without a zone it is UTC.

    Raises ValueError.
    """
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def from_unix(seconds: float) -> datetime:
    """The time that Unix seconds say."""
    return datetime.fromtimestamp(seconds, UTC)
