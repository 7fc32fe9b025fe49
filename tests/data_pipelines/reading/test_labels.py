"""What the values of a label file mean: further ids, what all else is, soft edges, transparency, a mask per class."""

import dataclasses

import cv2
import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from data_pipelines.reading.images import read_label
from data_pipelines.reading.labels import distances
from data_pipelines.reading.masks import mask_distances, read_masks
from data_pipelines.spec import IGNORE, DataError, DatasetSpec, Window

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # of writing


def spec_of(*classes, **facts):
    return DatasetSpec("mine", classes, ((0, 0, 0),) * len(classes), {}, (0.0,), (1.0,), **facts)


def save(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


def saved_array(path, values, dtype):
    np.save(path, np.array(values, dtype))
    return path


def compressed(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, quality=100)
    return path


def refusal(path, spec):
    with pytest.raises(DataError) as error:
        read_label(path, spec)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


# Ids


def test_several_ids_are_one_class(tmp_path):
    spec = spec_of("road", "car", label_ids=(7, 26), aliases=((8, 0), (300, 1)))
    path = saved_array(tmp_path / "a.npy", [[7, 8, 26, 300, 255]], np.uint16)
    assert read_label(path, spec).tolist() == [[0, 0, 1, 1, IGNORE]]
    told = refusal(saved_array(path, [[7, 9]], np.uint8), spec)
    assert "holds value 9: mine knows classes 7, 26, 8, 300 and void 255" in told


@pytest.mark.parametrize(("rest", "expected"), [(IGNORE, IGNORE), (1, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint32", "float32"])
def test_what_all_other_ids_are(dtype, rest, expected, tmp_path):
    values = [7, 26, 9, 255] + ([-1, -32768] if dtype in ("int16", "int32", "float32") else [254, 0])
    path = saved_array(tmp_path / "a.npy", [values], dtype)
    found = read_label(path, spec_of("road", "car", label_ids=(7, 26), rest=rest))
    assert found.tolist() == [[0, 1, expected, IGNORE, expected, expected]]


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "float64"])
def test_void_may_be_negative(dtype, tmp_path):
    spec = spec_of("a", "b", void_ids=(-1, -9999))
    pixels = np.array([[0, 1, -1, -9999]], dtype)
    assert read_label(saved_array(tmp_path / "a.npy", pixels, dtype), spec).tolist() == [[0, 1, IGNORE, IGNORE]]
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", height=1, width=4, count=1, dtype="int32") as file:
        file.write(pixels.astype(np.int32), 1)
    assert read_label(tmp_path / "a.tif", spec).tolist() == [[0, 1, IGNORE, IGNORE]]
    assert "holds value -2" in refusal(saved_array(tmp_path / "a.npy", [[0, -2]], dtype), spec)


def test_whole_numbers_that_are_saved_as_floats(tmp_path):
    spec = spec_of("a", "b", label_ids=(1, 300))
    path = tmp_path / "a.npy"
    assert read_label(saved_array(path, [[1, 300, np.nan]], np.float32), spec).tolist() == [[0, 1, IGNORE]]
    assert "holds 1.5: ids are whole numbers" in refusal(saved_array(path, [[1, 1.5]], np.float32), spec)
    assert "holds inf: ids are whole numbers" in refusal(saved_array(path, [[1, np.inf]], np.float32), spec)
    assert "holds value 2.0:" in refusal(saved_array(path, [[1, 2]], np.float64), spec)


@pytest.mark.parametrize("alpha", [False, True])
def test_ids_in_three_equal_channels(alpha, tmp_path):
    ids = np.array([[0, 1, 1], [255, 0, 1]], np.uint8)
    pixels = np.repeat(ids[..., None], 3, 2)
    pixels = np.dstack([pixels, np.full_like(ids, 255)]) if alpha else pixels
    expected = [[0, 1, 1], [IGNORE, 0, 1]]
    assert read_label(save(tmp_path / "a.png", pixels), spec_of("a", "b")).tolist() == expected
    pixels[0, 1, 2] = 0
    assert "three equal ones" in refusal(save(tmp_path / "a.png", pixels), spec_of("a", "b"))


# Soft edges


def test_soft_edges_of_two_ids(tmp_path):
    spec = spec_of("a", "b", label_ids=(0, 255), labels_soft="nearest")
    path = save(tmp_path / "a.png", [[0, 1, 127, 128, 254, 255]])
    assert read_label(path, spec).tolist() == [[0, 0, 0, 1, 1, 1]]
    assert distances(path, spec).tolist() == [[0, 1, 127, 127, 1, 0]]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_soft_values_have_the_nearest_id_and_the_lower_of_two(dtype, tmp_path):
    spec = spec_of("c", "a", "b", label_ids=(250, 0, 127), void_ids=(200,), aliases=((130, 2),), labels_soft="nearest")
    path = saved_array(tmp_path / "a.npy", [[0, 63, 64, 140, 165, 166, 224, 225, 226, 255]], dtype)
    assert read_label(path, spec).tolist() == [[1, 1, 2, 2, 2, IGNORE, IGNORE, IGNORE, 0, 0]]


def test_soft_values_that_are_no_whole_numbers(tmp_path):
    spec = spec_of("a", "b", labels_soft="nearest")
    path = saved_array(tmp_path / "a.npy", [[0, 0.2, 0.51, 1, np.nan]], np.float64)
    assert read_label(path, spec).tolist() == [[0, 0, 1, 1, IGNORE]]
    np.testing.assert_allclose(distances(path, spec), [[0, 0.2, 0.49, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(("ids", "classes"), [((0, 255), [0, 0, 1, 1, 1]), ((255, 0), [1, 1, 0, 0, 0])])
def test_a_threshold(ids, classes, tmp_path):
    spec = spec_of("a", "b", label_ids=ids, void_ids=(100,), labels_soft=1)
    path = save(tmp_path / "a.png", [[0, 0, 1, 99, 255, 100]])
    assert read_label(path, spec).tolist() == [[*classes, IGNORE]]
    assert distances(path, spec).tolist() == [[0, 0, 254, 156, 0, 0]]


COLOURED = {"label_colours": ((0, 0, 0), (255, 0, 0)), "void_colours": ((255, 255, 255),)}


def test_soft_values_have_the_nearest_colour(tmp_path):
    spec = spec_of("a", "b", aliases=(((0, 0, 255), 1),), labels_soft="nearest", **COLOURED)
    colours = [[0, 0, 0], [127, 0, 0], [128, 0, 0], [250, 9, 0], [255, 190, 180], [3, 4, 200]]
    path = save(tmp_path / "a.png", [colours])
    assert read_label(path, spec).tolist() == [[0, 0, 1, 1, IGNORE, 1]]
    far = [0, 127, 127, np.hypot(5, 9), np.hypot(65, 75), np.sqrt(9 + 16 + 55**2)]
    np.testing.assert_allclose(distances(path, spec), [far], rtol=1e-5)


def test_what_soft_colours_are_is_forgotten_where_labels_are_not_soft(tmp_path):
    path = save(tmp_path / "a.png", [[[0, 0, 0], [250, 9, 0], [255, 0, 0]]])
    soft, hard = (spec_of("a", "b", labels_soft=soft, **COLOURED) for soft in ("nearest", ""))
    assert read_label(path, soft).tolist() == read_label(path, soft).tolist() == [[0, 1, 1]]
    assert "the colour (250, 9, 0) in 1 pixel" in refusal(path, hard)


def test_jpeg_is_read_where_labels_are_soft(tmp_path):
    label = cv2.circle(np.zeros((64, 80), np.uint8), (40, 30), 20, 255, -1)
    for name, pixels in (("grey", label), ("rgb", np.dstack([label] * 3))):
        path = tmp_path / f"{name}.jpg"
        Image.fromarray(pixels).save(path, quality=60)
        ids = spec_of("a", "b", label_ids=(0, 255))
        assert "is a JPEG, whose compression changes class ids" in refusal(path, ids)
        found = read_label(path, spec_of("a", "b", label_ids=(0, 255), labels_soft="nearest"))
        assert (found != (label > 0)).mean() < 0.005
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=64, width=80, count=1, dtype="uint8", compress="jpeg"
    ) as file:
        file.write(label, 1)
    found = read_label(tmp_path / "a.tif", spec_of("a", "b", label_ids=(0, 255), labels_soft="nearest"))
    assert (found != (label > 0)).mean() < 0.005


def test_colours_of_a_jpeg_are_told_of_the_way_out(tmp_path):
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[:, 15:] = 255, 0, 0
    Image.fromarray(colours).save(tmp_path / "a.jpg")
    assert "use the original, or labels_soft: nearest" in refusal(tmp_path / "a.jpg", spec_of("a", "b", **COLOURED))
    found = read_label(tmp_path / "a.jpg", spec_of("a", "b", labels_soft="nearest", **COLOURED))
    assert (found == (colours[..., 0] > 0)).all()


def test_values_that_look_soft_are_told(tmp_path):
    spec = spec_of("a", "b", label_ids=(0, 255))
    path = save(tmp_path / "a.png", [[0, 20, 60, 100, 180, 240, 255]])
    assert "if these are soft edges, say so in the data set (labels_soft: nearest)" in refusal(path, spec)
    assert "labels_soft" not in refusal(save(path, [[0, 20, 255]]), spec)


# Transparency


@pytest.mark.parametrize(("rest", "expected"), [(0, 0), (IGNORE, IGNORE)])
def test_transparent_pixels_of_coloured_labels(rest, expected, tmp_path):
    spec = spec_of("a", "b", rest=rest, label_colours=((0, 0, 0), (255, 0, 0)))
    path = save(tmp_path / "a.png", [[[255, 0, 0, 255], [7, 8, 9, 0], [255, 0, 0, 0]]])
    assert read_label(path, spec).tolist() == [[1, expected, expected]]
    none = spec_of("a", "b", label_colours=((0, 0, 0), (255, 0, 0)))
    assert "is transparent in 2 pixels: say in the data set which class that is (rest: NAME)" in refusal(path, none)


def test_transparent_pixels_of_ids(tmp_path):
    pixels = [[[1, 255], [0, 255], [1, 0]]]
    path = save(tmp_path / "a.png", pixels)
    assert read_label(path, spec_of("a", "b", rest=0)).tolist() == [[1, 0, 0]]
    assert "is transparent in 1 pixel:" in refusal(path, spec_of("a", "b"))


@pytest.mark.parametrize(("rest", "expected"), [(None, IGNORE), (0, 0)])
def test_transparent_pixels_of_a_raster_are_void_unless_they_are_a_class(rest, expected, tmp_path):
    kind = {"driver": "GTiff", "height": 1, "width": 2, "count": 2, "dtype": "uint8", "alpha": "yes"}
    with rasterio.open(tmp_path / "a.tif", "w", **kind) as file:
        file.write(np.array([[[1, 9]], [[255, 0]]], np.uint8))
    assert read_label(tmp_path / "a.tif", spec_of("a", "b", rest=rest)).tolist() == [[1, expected]]


def test_half_transparent_pixels(tmp_path):
    path = save(tmp_path / "a.png", [[[255, 0, 0, 255], [255, 0, 0, 130], [255, 0, 0, 120], [0, 0, 0, 0]]])
    spec = spec_of("a", "b", rest=0, label_colours=((0, 0, 0), (255, 0, 0)))
    assert "is half transparent in 2 pixels" in refusal(path, spec)
    soft = spec_of("a", "b", rest=0, label_colours=((0, 0, 0), (255, 0, 0)), labels_soft="nearest")
    assert read_label(path, soft).tolist() == [[1, 1, 0, 0]]
    assert distances(path, soft).tolist() == [[0, 125, 120, 0]]


def test_a_band_per_class_is_told(tmp_path):
    hot = np.eye(4, dtype=np.uint8)[[[0, 3], [2, 1]]]
    tifffile.imwrite(tmp_path / "a.tif", hot, photometric="rgb", extrasamples=["unassalpha"])
    assert "has 4 bands, one of which is set in each pixel" in refusal(tmp_path / "a.tif", spec_of(*"abcd"))
    black = np.zeros((2, 2, 4), np.uint8)
    black[..., 3] = 255
    tifffile.imwrite(tmp_path / "b.tif", black, photometric="rgb", extrasamples=["unassalpha"])
    spec = spec_of("a", "b", label_colours=((0, 0, 0), (255, 0, 0)))
    assert read_label(tmp_path / "b.tif", spec).tolist() == [[0, 0], [0, 0]]


def test_a_palette_with_transparency(tmp_path):
    picture = Image.fromarray(np.array([[0, 1, 1]], np.uint8), mode="P")
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.save(tmp_path / "a.png", transparency=0)
    assert read_label(tmp_path / "a.png", spec_of("a", "b")).tolist() == [[0, 1, 1]]
    spec = spec_of("a", "b", rest=1, label_colours=((255, 0, 0), (9, 9, 9)))
    assert read_label(tmp_path / "a.png", spec).tolist() == [[1, 0, 0]]


# A mask per class


def masks_of(folder, **masks):
    return tuple((save(folder / f"{name}.png", mask), number) for number, (name, mask) in enumerate(masks.items(), 1))


@pytest.mark.parametrize(("rest", "expected"), [(None, IGNORE), (IGNORE, IGNORE), (0, 0)])
def test_a_mask_per_class(rest, expected, tmp_path):
    masks = masks_of(tmp_path, red=[[0, 255, 0, 0]], blue=[[1, 0, 0, 0]])
    spec = spec_of("ground", "red", "blue", rest=rest)
    assert read_masks(masks, spec).tolist() == [[2, 1, expected, expected]]
    assert read_masks(masks, spec, Window(0, 1, 2, 2)).tolist() == [[1, expected], [IGNORE, IGNORE]]


def test_masks_that_overlap(tmp_path):
    masks = masks_of(tmp_path, red=[[0, 255, 255]], blue=[[255, 255, 0]])
    with pytest.raises(DataError, match=r"blue.png overlaps that of 'red' in 1 pixels: .* \(masks_overlap: last\)"):
        read_masks(masks, spec_of("ground", "red", "blue", rest=0))
    assert read_masks(masks, spec_of("ground", "red", "blue", rest=0, masks_overlap=True)).tolist() == [[2, 2, 1]]


def test_a_pixel_in_several_masks_has_the_class_of_all(tmp_path):
    """Every set of three masks that is known, against sums of bits; what lies beyond is void."""
    drawn = np.random.default_rng(0).integers(0, 2, (3, 20, 30)).astype(bool)
    drawn[2] &= ~drawn[0] | drawn[1]  # the third is with the first where the second is too
    names = ("ground", "red", "blue", "green", "violet", "cyan", "white")
    combinations = ((4, (1, 2)), (5, (2, 3)), (6, (1, 2, 3)))
    stored = dict(zip(names[1:], (np.uint8(mask) * 255 for mask in drawn)))
    masks, by_bits = masks_of(tmp_path, **stored), np.array([0, 1, 2, 4, 3, IGNORE, 5, 6], np.uint8)
    expected = by_bits[drawn[0] + 2 * drawn[1] + 4 * drawn[2]]
    assert {*np.unique(expected)} == {*range(7)}
    spec = spec_of(*names, rest=0, combinations=combinations)
    np.testing.assert_array_equal(read_masks(masks, spec), expected)
    np.testing.assert_array_equal(read_masks(masks[::-1], spec), expected)
    window = read_masks(masks, spec, Window(15, 25, 10, 10))
    np.testing.assert_array_equal(window[:5, :5], expected[15:, 25:])
    assert (window[5:] == IGNORE).all() and (window[:, 5:] == IGNORE).all()
    with pytest.raises(
        DataError, match=rf"blue.png and .*green.png: .* are together 'blue' and 'green' \({(expected == 5).sum()} pi"
    ):
        read_masks(masks, spec_of(*names[:5], "white", rest=0, combinations=((4, (1, 2)), (5, (1, 2, 3)))))


def test_of_several_labels_the_rest_is_what_has_no_other(tmp_path):
    masks = masks_of(tmp_path, red=[[255, 255, 0, 0]], ground=[[0, 255, 255, 0]])
    spec = spec_of("nothing", "red", "ground", "both", "violet", rest=2, combinations=((4, (1, 3)),))
    assert read_masks(masks, spec).tolist() == [[1, 1, 2, 2]]
    with pytest.raises(DataError, match=r"ground.png overlaps that of 'red' in 1 pixels: .* \(masks_overlap: last\)$"):
        read_masks(masks, spec_of("nothing", "red", "ground", rest=2))


def test_two_masks_of_one_class_may_overlap(tmp_path):
    masks = [(path, 1) for path, _ in masks_of(tmp_path, red=[[0, 255, 255]], rose=[[255, 255, 0]])]
    assert read_masks(masks, spec_of("ground", "red", rest=0)).tolist() == [[1, 1, 1]]


def test_masks_of_other_values_and_sizes(tmp_path):
    spec = spec_of("ground", "red", rest=0)
    masks = masks_of(tmp_path, red=[[0, 77, 255]])
    with pytest.raises(DataError, match=r"red.png holds value 77: a mask knows classes 0, 255, 1, 65535"):
        read_masks(masks, spec)
    assert read_masks(masks, spec_of("ground", "red", rest=0, labels_soft="nearest")).tolist() == [[0, 0, 1]]
    assert read_masks(masks, spec_of("ground", "red", rest=0, labels_soft=70)).tolist() == [[0, 1, 1]]
    other = (save(tmp_path / "x.png", [[0, 255]]), 1)
    masks = [(masks_of(tmp_path, red=[[0, 255, 0]])[0][0], 0), other]
    for read in (lambda: read_masks(masks, spec), lambda: read_masks(masks, spec, Window(0, 0, 1, 1))):
        with pytest.raises(DataError, match=r"red.png and .*x.png differ in size"):
            read()
    with pytest.raises(DataError, match=r"red.png and .*x.png differ in size"):
        mask_distances(masks, spec_of("ground", "red", rest=0, labels_soft="nearest"))


def test_each_soft_mask_tells_what_is_inside(tmp_path):
    """Masks of 0 and 1 beside those of 0 and 255 or 65535; of a window the whole file does."""
    masks = masks_of(tmp_path, red=[[0, 77, 255, 255], [0, 0, 0, 1]], blue=[[1, 1, 0, 0], [1, 1, 1, 0]])
    spec = spec_of("ground", "red", "blue", rest=0, labels_soft="nearest")
    assert read_masks(masks, spec).tolist() == [[2, 2, 1, 1], [2, 2, 2, 0]]
    assert mask_distances(masks, spec).tolist() == [[0, 77, 0, 0], [0, 0, 0, 1]]
    assert read_masks(masks, spec, Window(1, 2, 1, 2)).tolist() == [[2, 0]]
    numbers = dataclasses.replace(spec, labels_soft=70)
    assert read_masks([(compressed(tmp_path / "b.jpg", [[1] * 16]), 1)], spec).tolist() == [[0] * 16], "near 0"
    assert read_masks(masks[1:], numbers).tolist() == [[2, 2, 0, 0], [2, 2, 2, 0]]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 128, 32767, 32768, 65535], "uint16"),
        ([0, 0.2, 0.5, 0.6, 1.02], "float32"),
        ([-3, 100, 127, 128, 262], "int16"),
        ([0, 100, 127, np.nan, 254], "float64"),
    ],
)
def test_soft_masks_of_other_types(values, dtype, tmp_path):
    path = saved_array(tmp_path / "a.npy", [values], dtype)
    spec = spec_of("ground", "red", rest=0, labels_soft="nearest")
    void = np.isnan(values[3])
    assert read_masks([(path, 1)], spec).tolist() == [[0, 0, 0, IGNORE if void else 1, 1]]


def test_what_is_nothing_in_a_soft_mask_is_no_value_of_it(tmp_path):
    kind = {"driver": "GTiff", "height": 1, "width": 4, "count": 1, "dtype": "uint16", "nodata": 65535}
    with rasterio.open(tmp_path / "a.tif", "w", **kind) as file:
        file.write(np.array([[[0, 100, 200, 65535]]], np.uint16))
    spec = spec_of("ground", "red", rest=0, labels_soft="nearest")
    assert read_masks([(tmp_path / "a.tif", 1)], spec).tolist() == [[0, 0, 1, IGNORE]]


def test_what_is_inside_a_soft_mask_can_not_be_no_value(tmp_path):
    """Else all that is inside would be void, without a word."""
    kind = {"driver": "GTiff", "height": 1, "width": 3, "count": 1, "dtype": "uint8", "nodata": 255}
    with rasterio.open(tmp_path / "a.tif", "w", **kind) as file:
        file.write(np.array([[[0, 255, 255]]], np.uint8))
    with pytest.raises(DataError, match="a.tif"):
        read_masks([(tmp_path / "a.tif", 1)], spec_of("ground", "red", rest=0, labels_soft="nearest"))


@pytest.mark.parametrize(("rest", "expected"), [(0, 0), (IGNORE, IGNORE)])
@pytest.mark.parametrize("colours", [1, 3])
def test_what_is_transparent_in_a_mask_is_outside_of_its_class(colours, rest, expected, tmp_path):
    """Whatever the colour beneath: the next mask may have it."""
    white = [[255] * colours] * 4
    clear = {"red": [255, 0, 0, 0], "blue": [0, 0, 255, 0]}
    pixels = {name: [[[*value, alpha] for value, alpha in zip(white, alphas)]] for name, alphas in clear.items()}
    spec = spec_of("ground", "red", "blue", rest=rest)
    masks = masks_of(tmp_path, **pixels)
    assert read_masks(masks, spec).tolist() == [[1, expected, 2, expected]]
    pixels["blue"][0][2][-1] = 200
    soft = spec_of("ground", "red", "blue", rest=rest, labels_soft="nearest")
    masks = masks_of(tmp_path, **pixels)
    assert read_masks(masks, soft).tolist() == [[1, expected, 2, expected]]
    assert mask_distances(masks, soft).tolist() == [[0, 0, 55, 0]]
    with pytest.raises(DataError, match="blue.png is half transparent in 1 pixel"):
        read_masks(masks, spec)


# What predictions have


@pytest.mark.parametrize(
    ("facts", "ids", "void"),
    [
        ({}, (0, 1), 255),
        ({"void_ids": (11, 12)}, (0, 1), 11),
        ({"void_ids": (-1,)}, (0, 1), 255),
        ({"void_ids": (-1, 70000, 3)}, (0, 1), 3),
        ({"label_ids": (300, 7)}, (300, 7), 255),
        ({"label_ids": (0, 255)}, (0, 255), 1),
        ({"label_ids": (0, 255), "aliases": ((1, 1),)}, (0, 255), 2),
        ({"label_colours": ((0, 0, 0), (1, 1, 1)), "aliases": (((2, 2, 2), 1),)}, (0, 1), 255),
    ],
)
def test_ids_of_predictions(facts, ids, void):
    spec = spec_of("a", "b", **facts)
    assert (spec.output_ids, spec.void_id) == (ids, void)


@pytest.mark.parametrize(
    "facts",
    [
        {"aliases": ((1, 0),)},
        {"aliases": ((7, 0), (7, 1))},
        {"aliases": ((7, 0),), "void_ids": (7,)},
        {"aliases": (((1, 1, 1), 0),), "label_colours": ((0, 0, 0), (1, 1, 1))},
    ],
)
def test_a_further_value_stands_for_one_class(facts):
    with pytest.raises(ValueError, match="stands for two classes, or for a class and void"):
        spec_of("a", "b", **facts)
