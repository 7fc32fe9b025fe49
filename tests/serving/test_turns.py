import asyncio

import pytest

from did_tf.serving.refusals import Refused
from did_tf.serving.turns import Turns


class Queue:
    """Images that come one after the other: `log` says whose turn has begun, and each ends when it is told to."""

    def __init__(self, turns):
        self.turns, self.log, self.ends, self.tasks = turns, [], {}, []

    async def come(self, name, pixels, patience=5.0):
        self.ends[name] = asyncio.Event()
        self.tasks.append(asyncio.create_task(self._pass(name, pixels, patience)))
        await asyncio.sleep(0.01)

    async def end(self, name):
        self.ends[name].set()
        await asyncio.sleep(0.01)

    async def _pass(self, name, pixels, patience):
        async with self.turns.turn(pixels, patience):
            self.log.append(name)
            await self.ends[name].wait()


def test_so_many_at_once_in_the_order_of_their_coming():
    async def story():
        queue = Queue(Turns(2, 100))
        for name in "abc":
            await queue.come(name, 10)
        assert queue.log == ["a", "b"]
        await queue.end("b")
        assert queue.log == ["a", "b", "c"]

    asyncio.run(story())


def test_a_large_image_goes_alone_and_is_not_passed_by_small_ones():
    async def story():
        queue = Queue(Turns(4, 100))
        await queue.come("small", 10)
        await queue.come("large", 500)
        await queue.come("later", 10)
        assert queue.log == ["small"]
        await queue.end("small")
        assert queue.log == ["small", "large"]
        await queue.end("large")
        assert queue.log == ["small", "large", "later"]

    asyncio.run(story())


def test_who_waits_too_long_is_told_to_come_again_and_takes_no_room():
    async def story():
        queue = Queue(Turns(1, 100))
        await queue.come("a", 10)
        await queue.come("b", 10, patience=0.02)
        await queue.come("c", 10)
        with pytest.raises(Refused, match="has waited for 0.02 s") as caught:
            await queue.tasks[1]
        assert caught.value.status == 503 and caught.value.headers == {"Retry-After": "5"}
        await queue.end("a")
        assert queue.log == ["a", "c"]

    asyncio.run(story())
