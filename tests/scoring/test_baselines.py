import numpy as np
import pytest
from in_memory import InMemory

from did_tf.scoring.baselines import baselines

OF_THREE = {"classes": ("sky", "road", "car"), "palette": ((255, 0, 0), (0, 255, 0), (0, 0, 255))}


def row(*pixels):
    return np.array([pixels], np.uint8)


def test_baselines_worked_out_by_hand():
    red, dark_red, green, grey = (250, 0, 0), (230, 31, 0), (0, 250, 0), (99, 99, 99)
    # Road wins overall, 4 of 7. Red's bin (7, 0, 0) holds dark red too: sky twice, road once.
    train = [
        (row(red, dark_red, red, green), row(0, 0, 1, 1)),
        (row(green, green, green), row(1, 1, 2)),
        (row(red, red, red), row(255, 255, 255)),
    ]
    val = [(row(dark_red, red, green, grey, grey), row(0, 1, 1, 1, 255))]
    scores = baselines(InMemory({"train": train, "val": val}, **OF_THREE), "train", "val")
    # Always road: road 3 of 4, sky 0 of 1. By colour (sky, sky, road, road): sky 1 of 2, road 2 of 3.
    assert scores == pytest.approx({"most frequent class": (3 / 4 + 0) / 2, "colour alone": (1 / 2 + 2 / 3) / 2})


def test_baselines_of_the_first_images_alone():
    one, other = (row((9, 9, 9)), row(0)), (row((9, 9, 9)), row(1))
    scores = baselines(InMemory({"train": [one], "val": [one, other]}, **OF_THREE), "train", "val", limit=1)
    assert scores == {"most frequent class": 1, "colour alone": 1}


@pytest.mark.parametrize(("bands", "dtype"), [(1, "uint8"), (2, "uint8"), (5, "uint8"), (2, "uint16"), (3, "float32")])
def test_baselines_of_any_bands(bands, dtype):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 20, bands)).astype(dtype)
    label = (image[..., min(bands, 3) - 1] >= 128).astype(np.uint8)  # told by the last band that counts
    of_bands = {"dtype": dtype, "mean": (128.0,) * bands, "std": (64.0,) * bands}
    scores = baselines(InMemory({"train": [(image, label)]}, **of_bands, **OF_THREE), "train", "train")
    assert scores["colour alone"] == 1
    assert scores["most frequent class"] < 0.5
