"""What the server takes on: refused beyond, so that nobody's request takes the memory or the time of all others."""

from __future__ import annotations

import dataclasses

from did_tf.common import kinds


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take.

    Attributes:
      max_mb: size of an image's file, in millions of bytes.
      max_pixels: of an image, by its header.
      queue: requests for predictions that are under way, those that are being sent among them.
      batch: images of one size that go through the network together.
      send_seconds: in which a request must have been sent; and that a client may take nothing of its answer.
      wait_seconds: that a request waits for its turn.
      grace_seconds: in which what is under way is finished at the end.

    Raises:
      ConfigError: one is out of range.
    """

    max_mb: float = 64.0
    max_pixels: int = 25_000_000
    queue: int = 32
    batch: int = 1
    send_seconds: float = 30.0
    wait_seconds: float = 60.0
    grace_seconds: int = 30

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "grace_seconds":
                kinds.whole("[0, inf)").check("--grace_seconds", value)
            elif isinstance(value, float):
                kinds.number("(0, inf)").check(f"--{field.name}", value)
            else:
                kinds.whole("[1, inf)").check(f"--{field.name}", value)

    @property
    def max_bytes(self) -> int:
        """Of an image's file."""
        return int(self.max_mb * 1e6)


def names() -> list[str]:
    """Of the limits, which are flags of the command as well."""
    return [field.name for field in dataclasses.fields(Limits)]
