"""Images that can't be read: the others are gone on with, and all are told at the end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from data_pipelines.spec import DataError


class Damage:
    """Collects `DataError`s by image.

    Attributes:
      reasons: name -> message, of the images that can't be read.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Within it, a `DataError` is kept as the reason for which image `name` is left out."""
        try:
            yield
        except DataError as error:
            self.reasons[name] = " ".join(str(error).split())

    def tell(self, what: str) -> None:
        """Raises `DataError`, which ends with `what`, if there are any; of several, each has a line on stderr first."""
        told = [f"{name}: {reason}" for name, reason in sorted(self.reasons.items())]
        if len(told) == 1:
            raise DataError(f"{told[0]}; {what}")
        if told:
            print("\n".join(told), file=sys.stderr)
            raise DataError(f"{len(told)} images can't be read, listed above: {what}")
