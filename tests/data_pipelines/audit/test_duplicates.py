"""The same pixels are found in any file, and the same picture at any size; different scenes are told apart."""

import cv2
import numpy as np
import pytest
from PIL import Image

from data_pipelines import load
from data_pipelines.audit import duplicates
from data_pipelines.reading.images import read_image


def prints_of(pictures):
    prints = duplicates.Fingerprints(len(pictures))
    for index, picture in enumerate(pictures):
        prints[index] = duplicates.fingerprint(picture)
    return prints


def drawn(split, count, **options):
    dataset = load("synthetic", sizes={split: count}, **options)
    return [dataset.read_image(sample) for sample in dataset.samples(split)]


@pytest.fixture(scope="module")
def scenes():
    """200 of different streets."""
    return drawn("train", 200, height=60, width=80)


def jpeg(quality):
    def change(picture):
        return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)

    return change


def sized(factor):
    def change(picture):
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=interpolation)

    return change


CHANGES = {
    "jpeg 90": jpeg(90),
    "jpeg 40": jpeg(40),
    "nine tenths": sized(0.9),
    "half": sized(0.5),
    "double": sized(2),
    "brighter": lambda picture: cv2.convertScaleAbs(picture, alpha=0.9, beta=15),
    "16 bits": lambda picture: picture.astype(np.uint16) * 257,
    "float": lambda picture: picture.astype(np.float32) / 255,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_copies_are_found(scenes, change):
    originals, copies = prints_of(scenes[:40]), prints_of([change(scene) for scene in scenes[10:30]])
    found = duplicates.look_alike(originals, copies)
    assert (found.pairs, found.images) == (20, 20)
    assert sorted((i, j) for _, i, j in found.nearest) == [(index + 10, index) for index in range(20)]
    assert not duplicates.same_pixels(originals, copies)


TURNED = {
    "mirrored": lambda picture: picture[:, ::-1],
    "upside down": lambda picture: picture[::-1],
    "half a turn": lambda picture: picture[::-1, ::-1],
    "to the left": np.rot90,
    "to the right": lambda picture: np.rot90(picture, -1),
    "axes swapped": lambda picture: picture.swapaxes(0, 1),
    "axes swapped, half a turn": lambda picture: np.rot90(picture, 2).swapaxes(0, 1),
}


@pytest.mark.parametrize("turn", TURNED.values(), ids=TURNED.keys())
def test_mirrored_and_turned_copies_are_found(scenes, turn):
    originals = prints_of(scenes[:40])
    copies = prints_of([jpeg(80)(np.ascontiguousarray(turn(scene))) for scene in scenes[10:30]])
    assert duplicates.look_alike(originals, copies).pairs == 0
    found = duplicates.turned_copies(originals, copies)
    assert sorted((i, j) for _, i, j in found.nearest) == [(index + 10, index) for index in range(20)]
    assert (found.pairs, found.images) == (20, 20)


def test_what_is_alike_as_it_is_is_no_turned_copy(scenes):
    even = [np.concatenate([scene, scene[:, ::-1]], axis=1) for scene in scenes[:20]]
    originals, copies = prints_of(even), prints_of([jpeg(80)(scene) for scene in even])
    assert duplicates.look_alike(originals, copies).pairs == 20
    assert duplicates.turned_copies(originals, copies) == (0, 0, [])


def test_different_scenes_are_not_alike(scenes):
    prints = prints_of(scenes)
    assert duplicates.look_alike(prints, prints) == (0, 0, [])
    assert duplicates.turned_copies(prints, prints) == (0, 0, [])
    assert duplicates.repeated_pixels(prints) == []


def test_other_data_than_pictures_are_told_apart():
    # Five bands, of which no three are colours.
    prints = prints_of(drawn("val", 30, height=64, width=96, bands=5))
    assert duplicates.look_alike(prints, prints) == (0, 0, [])


def test_same_pixels_in_other_files(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (20, 30, 3)).astype(np.uint8) for _ in range(3)]
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{index}.png", compress_level=0)
        Image.fromarray(picture).save(tmp_path / f"{index}.bmp")
        Image.fromarray(picture).save(tmp_path / f"{index}_small.png", compress_level=9)
    first = prints_of([read_image(tmp_path / f"{index}.png") for index in range(3)])
    second = prints_of([read_image(tmp_path / name) for name in ("2.bmp", "0_small.png", "2_small.png")])
    assert duplicates.same_pixels(first, second) == [(2, 0), (0, 1), (2, 2)]
    assert duplicates.repeated_pixels(second) == [(0, 2)]


def test_one_pixel_shape_and_type_count():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    other = picture.copy()
    other[3, 3, 2] += 1
    prints = prints_of([picture, other, picture.reshape(2, 8, 3), picture.astype(np.uint16), picture.copy()])
    assert duplicates.repeated_pixels(prints) == [(0, 4)]


def test_views_are_their_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    for one, other in zip(
        duplicates.fingerprint(picture[::-1, :, ::-1]), duplicates.fingerprint(picture[::-1, :, ::-1].copy())
    ):
        np.testing.assert_array_equal(one, other)


def test_unknown_images_are_like_none():
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 1)).astype(np.uint8)
    prints = duplicates.Fingerprints(3)
    assert duplicates.repeated_pixels(prints) == [] and duplicates.look_alike(prints, prints).pairs == 0
    prints[1] = duplicates.fingerprint(picture)
    assert duplicates.same_pixels(prints, prints) == [(1, 1)]


@pytest.mark.parametrize("block", [1, 7, 2048])
def test_pairs_equal_those_of_comparing_bit_by_bit(monkeypatch, block):
    monkeypatch.setattr(duplicates, "BLOCK", block)
    rng = np.random.default_rng(0)
    first, second = duplicates.Fingerprints(23), duplicates.Fingerprints(16)
    for prints in (first, second):
        for index in range(len(prints.known)):
            bits = np.zeros(256, np.uint8)
            bits[rng.choice(256, rng.integers(0, 30), replace=False)] = 1
            digest = np.full(16, index % 5 if index % 3 == 0 else rng.integers(10, 250), np.uint8)
            prints[index] = digest, np.packbits(bits)
    first.known[4] = second.known[9] = False

    expected = []
    for i, j in np.ndindex(23, 16):
        if first.known[i] and second.known[j] and first.digests[i].tobytes() != second.digests[j].tobytes():
            bits = zip(
                *(f"{int.from_bytes(looks.tobytes(), 'big'):0256b}" for looks in (first.looks[i], second.looks[j]))
            )
            distance = sum(one != other for one, other in bits)
            if distance <= 30:
                expected.append((distance, i, j))
    found = duplicates.look_alike(first, second, limit=30)
    assert 30 < len(expected) < 23 * 16 - 40
    assert found.pairs == len(expected) and found.images == len({j for _, _, j in expected})
    assert found.nearest == sorted(expected)[:20]
