"""Whose turn it is: images wait in the order in which they have come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from did_tf.serving.refusals import Refused


class Turns:
    """Lets as many images through at once as have room, so that memory is bounded. In one event loop.

    Args:
      count: images at once.
      pixels: that they may have in all; an image that has more goes alone.
    """

    def __init__(self, count: int, pixels: int) -> None:
        self._count, self._pixels = count, pixels
        self._taken: list[int] = []
        self._door, self._one_has_left = asyncio.Lock(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def turn(self, pixels: int, patience: float) -> AsyncIterator[None]:
        """Context in which it is the turn of an image of so many pixels. Raises `Refused` after `patience` seconds."""
        try:
            await asyncio.wait_for(self._enter(pixels), patience)
        except asyncio.TimeoutError:
            raise Refused(503, f"busy: the image has waited for {patience:g} s; send it again later") from None
        try:
            yield
        finally:
            self._taken.remove(pixels)
            self._one_has_left.set()

    async def _enter(self, pixels):
        async with self._door:  # which is fair: a large image is not passed by small ones for ever
            while self._taken and (len(self._taken) == self._count or sum(self._taken) + pixels > self._pixels):
                self._one_has_left.clear()
                await self._one_has_left.wait()
            self._taken.append(pixels)
