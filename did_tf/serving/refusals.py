"""What a request is refused with: a status and one line that says what to do."""

from __future__ import annotations

RETRY_AFTER = 5
"""Seconds after which a client that found the server busy should ask again."""


class Refused(Exception):
    """A request that gets no answer.

    Args:
      status: of HTTP.
      message: one line.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, " ".join(message.split())

    @property
    def headers(self) -> dict[str, str]:
        """That go with it."""
        return {"Retry-After": str(RETRY_AFTER)} if self.status in (429, 503) else {}
