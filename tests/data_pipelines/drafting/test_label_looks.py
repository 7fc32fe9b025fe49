"""What labels hold that no dataset.yaml describes: which values are classes, and which are soft edges between them."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from data_pipelines.drafting.label_lines import label_lines, void_ids
from data_pipelines.drafting.label_looks import labels_of
from data_pipelines.spec import DataError

PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255], [0, 255, 0], [128, 64, 128]], np.uint8)
SHARP = [0, 255]


def discs(seed, classes=2, size=(96, 128)):
    """Label [H, W] uint8: six discs of random classes on a ground."""
    draw = np.random.default_rng(seed)
    label = np.zeros(size, np.uint8)
    for _ in range(6):
        centre = int(draw.integers(size[1])), int(draw.integers(size[0]))
        cv2.circle(label, centre, int(draw.integers(8, 24)), int(draw.integers(1, classes)), -1)
    return label


def lines(seed):
    """Label of 0 and 255: lines of two pixels."""
    draw = np.random.default_rng(seed)
    label = np.zeros((96, 128), np.uint8)
    for _ in range(4):
        cv2.polylines(label, [draw.integers(0, 96, (6, 1, 2)).astype(np.int32)], False, 255, 2)
    return label


def jpeg(pixels, quality=75):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def looks(folder, pictures, extension="png", **options):
    paths = [folder / f"{number}.{extension}" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures):
        if extension == "npy":
            np.save(path, picture)
        else:
            Image.fromarray(picture).save(path, **options)
    return labels_of(paths)


def several(make, classes=2, values=None):
    """Four labels, of `values` for the classes, after `make`."""
    values = np.array(SHARP, np.uint8) if values is None else values
    return [make(values[discs(seed, classes)]) for seed in range(4)]


def resized(label):
    small = cv2.resize(label, (64, 48), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(small, (128, 96), interpolation=cv2.INTER_CUBIC)


def stepped(label):
    return np.clip(np.round(cv2.GaussianBlur(label, (3, 3), 0) / 64.0) * 64, 0, 255).astype(np.uint8)


def strays(label):
    draw = np.random.default_rng(0)
    chosen = draw.random(label.shape) < 0.002
    return np.where(chosen, np.where(label == 0, 1, 254), label).astype(np.uint8)


GREYS = np.array([0, 127, 255], np.uint8)


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (resized, np.array(SHARP, np.uint8)),
        (stepped, np.array(SHARP, np.uint8)),
        (strays, np.array(SHARP, np.uint8)),
        (lambda label: jpeg(label, 30), np.array(SHARP, np.uint8)),
        (lambda label: jpeg(label, 98), np.array(SHARP, np.uint8)),
        (lambda label: cv2.GaussianBlur(label, (5, 5), 0), GREYS),
        (jpeg, GREYS),
        (lambda label: cv2.GaussianBlur(label, (3, 3), 0), np.array([0, 50, 100, 150, 255], np.uint8)),
        (lambda label: cv2.resize(label, (100, 75), interpolation=cv2.INTER_AREA), PALETTE),
        (stepped, PALETTE[:3]),
    ],
)
def test_soft_edges_are_told_from_classes(make, values, tmp_path):
    pictures = several(make, len(values), values)
    found = looks(tmp_path, pictures)
    expected = [tuple(value) if values.ndim == 2 else value for value in values.tolist()]
    assert sorted(found.counts) == sorted(expected) and found.soft
    everything = np.concatenate([picture.reshape(-1, *values.shape[1:]) for picture in pictures])
    assert sum(found.counts.values()) == len(everything)
    exact = sum(int((everything == value).reshape(len(everything), -1).all(-1).sum()) for value in values)
    assert sum(found.soft.values()) == len(everything) - exact


@pytest.mark.parametrize("quality", [30, 75, 95, 100])
@pytest.mark.parametrize("values", [np.array(SHARP, np.uint8), GREYS, PALETTE], ids=["two", "greys", "colours"])
def test_jpeg_masks_have_the_classes_that_were_saved(values, quality, tmp_path):
    found = looks(tmp_path, several(np.asarray, len(values), values), "jpg", quality=quality)
    assert found.jpeg and len(found.counts) == len(values)
    for value in values.tolist():
        distances = [np.abs(np.subtract(value, one)).max() for one in found.counts]
        assert min(distances) <= 4
    black = (0, 0, 0) if values.ndim == 2 else 0
    assert black in found.counts


def test_ids_that_jpeg_has_run_together_are_refused(tmp_path):
    with pytest.raises(DataError, match="0.jpg and other JPEGs hold nothing that JPEG could keep apart"):
        looks(tmp_path, several(np.asarray, 3, np.arange(3, dtype=np.uint8)), "jpg")


def test_soft_lines_that_have_no_block_of_pixels(tmp_path):
    small = [cv2.resize(lines(seed), (90, 70), interpolation=cv2.INTER_LINEAR) for seed in range(4)]
    assert list(looks(tmp_path, small).counts) == SHARP


def borders(label):
    """VOC's void, a line around what there is."""
    return np.where(cv2.Canny(label * 50, 50, 100) > 0, 255, label).astype(np.uint8)


def rare(label):
    return np.where(np.random.default_rng(0).random(label.shape) < 0.0005, 1, label * 255).astype(np.uint8)


def thin(label):
    label = label * 200
    draw = np.random.default_rng(0)
    for number in range(1, 5):
        cv2.polylines(label, [draw.integers(0, 96, (6, 1, 2)).astype(np.int32)], False, number * 40, 1)
    return label


def noisy(label):
    return (np.minimum(np.random.default_rng(0).geometric(0.4, label.shape), 10) * 10).astype(np.uint8)


def patchy(label):
    """A map of land cover, with small patches of every class."""
    smooth = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, label.shape), (0, 0), 1.2)
    return (np.clip(smooth * 6 + 5, 0, 9).astype(np.uint8) + 1) * 10


@pytest.mark.parametrize(
    ("make", "classes"), [(borders, 5), (rare, 2), (thin, 2), (noisy, 2), (patchy, 2), (np.asarray, 5)]
)
def test_classes_are_not_taken_for_soft_edges(make, classes, tmp_path):
    pictures = several(make, classes, np.arange(5, dtype=np.uint8))
    found = looks(tmp_path, pictures)
    values, counts = np.unique(pictures, return_counts=True)
    assert found.counts == dict(zip(values.tolist(), counts.tolist())) and not found.soft


def test_what_is_thin_or_scattered_is_told(tmp_path):
    found = looks(tmp_path, several(rare, 2, np.arange(2, dtype=np.uint8)))
    assert found.scattered == {1}
    text = "\n".join(label_lines(found)[0])
    assert "1: class_1" in text and text.count("thin or scattered") == 1


def photograph(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (96, 128, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def test_photographs_are_no_labels(tmp_path):
    with pytest.raises(DataError, match=r"hold \d+ ids or colours, which are no soft edges of a few: are these labels"):
        looks(tmp_path, [photograph(0), photograph(1)])
    ramp = np.arange(300 * 200, dtype=np.uint16).reshape(200, 300) % 300
    with pytest.raises(DataError, match="are these labels[?] Of classes there may be 255 at most"):
        looks(tmp_path, [ramp, np.zeros_like(ramp)], "npy")


@pytest.mark.parametrize("count", [20, 24, 300])
def test_a_number_for_each_object(count, tmp_path):
    """As of Cellpose: too many ids without a gap, or more than there can be classes."""
    ids = np.arange(320, dtype=np.uint16).clip(max=count).reshape(16, 20).repeat(6, 0).repeat(6, 1)
    way = "if each id is an object and not a class, say classes: {0: background, 1: NAME, 255: NAME} and rest: NAME"
    if count > 255:
        with pytest.raises(DataError, match="are these labels.*255: NAME} and rest: NAME in a dataset.yaml of"):
            looks(tmp_path, [ids])
    else:
        told = label_lines(looks(tmp_path, [ids]))[1]
        assert told == [f"{count} ids from 1 on without a gap: {way}"] * (count > 20)
    ids[ids == 5] = 0
    if count == 24:
        (tmp_path / "gap").mkdir()
        assert label_lines(looks(tmp_path / "gap", [ids]))[1] == []


@pytest.mark.parametrize("alpha", [False, True])
def test_ids_in_three_equal_channels(alpha, tmp_path):
    ids = discs(0, 4)
    pixels = np.dstack([ids] * 3 + [np.full_like(ids, 255)] * alpha)
    found = looks(tmp_path, [pixels])
    assert found.equal and not found.colours and list(found.counts) == np.unique(ids).tolist()
    assert "three equal channels" in "\n".join(label_lines(found)[0])
    mixed = looks(tmp_path, [pixels[..., :3], PALETTE[ids]])
    assert mixed.colours and (1, 1, 1) in mixed.counts and not mixed.equal


def paletted(ids, colours):
    picture = Image.fromarray(ids, mode="P")
    picture.putpalette([number for colour in colours for number in colour])
    return picture


def test_a_palette_that_all_files_have_is_for_display(tmp_path):
    for name in "ab":
        paletted(discs(0, 3), PALETTE[:3].tolist()).save(tmp_path / f"{name}.png")
    found = labels_of(sorted(tmp_path.iterdir()))
    assert not found.colours and list(found.counts) == [0, 1, 2]


def test_palettes_that_differ_are_colours(tmp_path):
    label = discs(0, 3)
    paletted(label, PALETTE[[0, 1, 2]].tolist()).save(tmp_path / "a.png")
    paletted(label, PALETTE[[0, 2, 1]].tolist()).save(tmp_path / "b.png")
    found = labels_of(sorted(tmp_path.iterdir()))
    assert found.colours and found.counts[255, 0, 0] == found.counts[0, 0, 255] == (label > 0).sum()
    told = label_lines(found)[1][0]
    assert (
        told == "index 1 of the palettes is (255, 0, 0) in a.png, but (0, 0, 255) in b.png: the colours are the classes"
    )


def test_palettes_beside_colours_are_colours(tmp_path):
    label = discs(0, 3)
    paletted(label, PALETTE[:3].tolist()).save(tmp_path / "a.png")
    Image.fromarray(PALETTE[label]).save(tmp_path / "b.png")
    found = labels_of(sorted(tmp_path.iterdir()))
    assert found.colours and found.counts[255, 0, 0] == 2 * (label == 1).sum()
    Image.fromarray(label).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="b.png holds colours, but .*a.png holds ids"):
        labels_of(sorted(tmp_path.iterdir()))


def test_transparent_pixels_are_told_apart(tmp_path):
    label = discs(0, 3)
    pixels = np.dstack([PALETTE[label], np.where(label, 255, 0).astype(np.uint8)])
    pixels[0, 0] = 9, 9, 9, 0
    found = looks(tmp_path, [pixels])
    assert set(found.counts) == {(255, 0, 0), (0, 0, 255)} and found.clear == (label == 0).sum()
    lines, told = label_lines(found)
    assert "rest: background  # or void: others, where that has no class" in lines
    assert "classes: [background, class_0, class_1]" in lines and "transparent: a class of their own" in told[0]


def test_half_transparent_edges_are_soft(tmp_path):
    alpha = resized(discs(0) * 255)
    found = looks(tmp_path, [np.dstack([np.full_like(alpha, 255), alpha])])
    assert found.clear == (alpha < 127.5).sum() and found.half == ((alpha > 0) & (alpha < 255)).sum()
    assert list(found.counts) == [255] and "labels_soft: nearest" in label_lines(found)[0]
    assert "  0: background" in "\n".join(label_lines(found)[0])


def test_pictures_to_lay_over_others_are_no_labels(tmp_path):
    label = discs(0, 3)
    with pytest.raises(DataError, match="0.png and the others are half transparent wherever .* opaque"):
        looks(tmp_path, [np.dstack([PALETTE[label], np.where(label, 128, 0).astype(np.uint8)])])


@pytest.mark.parametrize(("values", "told"), [((1, 255), True), ((1, 1), False), ((255, 255), False)])
def test_masks_of_two_kinds_are_told(values, told, tmp_path):
    """1 in some files and 255 in others is one class rather than a class and void."""
    labels = looks(tmp_path, [discs(number) * np.uint8(value) for number, value in enumerate(values)])
    assert bool(labels.either) == told
    assert any("none has both" in line for line in label_lines(labels)[1]) == told


def test_whole_floats_and_negative_ids(tmp_path):
    label = discs(0, 3).astype(np.float32) - 1
    label[:3] = np.nan
    found = looks(tmp_path, [label], "npy")
    values, counts = np.unique(label[3:], return_counts=True)
    assert found.counts == dict(zip(values.astype(int).tolist(), counts.tolist())) and found.nothing == 3 * 128
    lines, _ = label_lines(found)
    assert "void: [-1]  # ids that have no class" in lines
    with pytest.raises(DataError, match=r"holds -0.5: ids are whole numbers; .* labels_soft: nearest"):
        looks(tmp_path, [label + 0.5], "npy")


@pytest.mark.parametrize(
    ("ids", "void"),
    [
        ([0, 255], []),
        ([0, 127, 255], []),
        ([0, 85, 170, 255], []),
        ([0, 1, 255], [255]),
        ([7, 26, 255], [255]),
        ([*range(256)], [255]),
        ([-1, 0, 1], [-1]),
        ([-9999, 0, 128, 255], [-9999]),
        ([1, 2], []),
        ([1, 255, 280], []),
        ([0, 1, 65535], [65535]),
        ([255, 280, 65535], [65535]),
        ([0, 65535], []),
        ([0, 32768, 65535], []),
        ([0, 255, 65535], [65535]),
    ],
)
def test_which_ids_are_drafted_as_void(ids, void):
    assert void_ids(dict.fromkeys(ids, 1)) == void


def test_shares_are_of_all_pixels_those_without_a_value_too(tmp_path):
    label = np.ones((40, 40), np.float32)
    label[20:] = np.nan
    lines, told = label_lines(looks(tmp_path, [label], "npy"))
    assert "  1: class_1  # 50.00% of the pixels" in lines
    assert any(line.startswith("50.00% of the pixels have no value") for line in told)


@pytest.mark.parametrize("void", [255, 65535])
def test_how_much_of_the_pixels_drafted_void_takes(void, tmp_path):
    lines, _ = label_lines(looks(tmp_path, [np.array([[0, 1], [1, void]], np.uint16).repeat(20, 0).repeat(20, 1)]))
    assert f"void: [{void}]  # 25.00% of the pixels; if {void} is a class, move it there" in lines
