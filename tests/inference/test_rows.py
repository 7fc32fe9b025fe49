import numpy as np
import pytest

from did_tf.inference import rows
from did_tf.inference.rows import Mirrored, Scaled, resize


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def cut(values, bounds):
    """A stream of `values` in strips that end at `bounds`."""
    for first, last in zip([0, *bounds], [*bounds, len(values)]):
        yield slice(first, last), {"a": values[first:last]}


@pytest.mark.parametrize("size", [(11, 8), (23, 31), (40, 17), (7, 60), (23, 17), (1, 1)])
def test_rows_of_a_scaled_image_are_those_of_the_whole_resized(size):
    image = noise(23, 17, 3)
    whole, scaled = resize(image, size), Scaled(image, size)
    np.testing.assert_array_equal(scaled[0 : size[0]], whole)
    for first in range(size[0]):
        np.testing.assert_allclose(scaled[first : first + 4], whole[first : first + 4], atol=1e-5)


@pytest.mark.parametrize("size", [(11, 8), (23, 31), (40, 17), (7, 60), (100, 9)])
@pytest.mark.parametrize("bounds", [[], [5, 6, 20], [22], list(range(1, 23))])
@pytest.mark.parametrize("begin", [0, 6])
def test_strips_resized_are_the_whole_resized(size, bounds, begin):
    values = noise(23, 17, 4)
    found = list(rows.resized(cut(values, bounds), 23, size, begin))
    assert [part.start for part, _ in found] == [begin, *(part.stop for part, _ in found[:-1])]
    assert found[-1][0].stop == size[0]
    np.testing.assert_allclose(np.concatenate([v["a"] for _, v in found]), resize(values, size)[begin:], atol=1e-5)


def test_strips_resized_may_begin_with_the_first_row_that_is_needed():
    values, begin = noise(23, 17, 4), 31
    first = rows.row_at(23, 40, begin)
    late = ((slice(part.start + first, part.stop + first), v) for part, v in cut(values[first:], [2, 5]))
    found = list(rows.resized(late, 23, (40, 17), begin))
    np.testing.assert_allclose(np.concatenate([v["a"] for _, v in found]), resize(values, (40, 17))[begin:], atol=1e-5)
    assert first == 17, "31.5 * 23 / 40 - 0.5 is 17.6"


def test_the_mean_of_streams_that_are_cut_otherwise():
    one, two, three = (noise(12, 5, 2, seed=seed) for seed in range(3))
    found = list(rows.mean([cut(one, [3, 9]), cut(two, [3, 4]), cut(three, [])], whole=False))
    assert [part.stop for part, _ in found] == [3, 4, 9, 12]
    np.testing.assert_allclose(np.concatenate([v["a"] for _, v in found]), (one + two + three) / 3, atol=1e-6)


def test_of_whole_images_one_is_held_at_a_time():
    held = []

    def stream(number):
        assert all(not values for values in held), "those before were given up"
        values = {"a": np.full((2, 2, 1), number, np.float32)}
        held.append(values)
        yield slice(0, 2), values

    ((part, values),) = rows.mean([stream(number) for number in (1, 2, 6)], whole=True)
    assert part == slice(0, 2) and (values["a"] == 3).all() and len(held) == 3


def test_a_mirrored_image_gives_mirrored_rows():
    image = noise(6, 5, 3)
    np.testing.assert_array_equal(Mirrored(image)[2:4], image[2:4, ::-1])
    assert Mirrored(image).shape == image.shape
