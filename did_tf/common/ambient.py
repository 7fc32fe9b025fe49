"""Values that hold within a block: what layers look up while they are called or traced."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


class Ambient(threading.local):
    """What layers look up while they are called or traced: a value that holds within a block, in one thread."""

    value: Any = None

    @contextlib.contextmanager
    def holding(self, value: Any) -> Iterator[None]:
        """Context in which `value` holds."""
        previous, self.value = self.value, value
        try:
            yield
        finally:
            self.value = previous
