import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from did_tf.inference import together
from did_tf.inference.together import Together


class Network:
    """Doubles images; `batches` are the sizes of those that it was given. An `error` is raised for several at once."""

    def __init__(self):
        self.batches, self.error, self.held = [], None, threading.Event()
        self.held.set()

    def __call__(self, images):
        self.batches.append(len(images))
        self.held.wait(10)
        if self.error and len(images) > 1:
            raise self.error
        return {"main": 2 * images}


def image(value, size=(4, 5)):
    return np.full((1, *size, 1), value, np.float32)


def gathered(network, batched, images):
    """What comes of images that all wait while the network is busy with another."""
    network.held.clear()
    with ThreadPoolExecutor(9) as threads:
        busy = threads.submit(batched, image(-1, (2, 2)))
        while not network.batches:
            time.sleep(0.001)
        found = [threads.submit(batched, one) for one in images]
        time.sleep(0.1)
        network.held.set()
        busy.result()
        return [one.result()["main"] if not one.exception() else one.exception() for one in found]


def test_images_that_wait_go_together_and_each_gets_its_own():
    network = Network()
    found = gathered(network, Together(network, 8), [image(n) for n in range(5)])
    assert sorted(network.batches) == [1, 5]
    for number, values in enumerate(found):
        np.testing.assert_array_equal(values, 2 * image(number))


def test_no_more_than_so_many_and_of_one_size():
    network = Network()
    batched = Together(network, 2)
    gathered(network, batched, [*(image(n) for n in range(4)), image(9, (7, 7))])
    assert sorted(network.batches) == [1, 1, 2, 2] and (batched.batches, batched.images) == (4, 6)


def test_large_images_go_alone(monkeypatch):
    monkeypatch.setattr(together, "PIXELS", 30)
    network = Network()
    gathered(network, Together(network, 8), [image(n) for n in range(3)])
    assert network.batches == [1, 1, 1, 1]


def test_one_that_comes_alone_does_not_wait_for_long_and_batches_stay_batches():
    network = Network()
    begun = time.monotonic()
    np.testing.assert_array_equal(Together(network, 4)(np.ones((6, 3, 3, 1)))["main"], np.full((6, 3, 3, 1), 2))
    assert network.batches == [6] and time.monotonic() - begun < 1


def test_what_the_network_raises_is_raised_for_all_of_the_batch_and_for_no_other():
    network = Network()
    network.error = MemoryError("gone")
    batched = Together(network, 8)
    assert gathered(network, batched, [image(n) for n in range(3)]) == [network.error] * 3
    assert network.batches == [1, 3]
    np.testing.assert_array_equal(batched(image(1))["main"], 2 * image(1))
