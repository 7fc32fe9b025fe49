"""Twenty kinds of damaged and odd inputs: each gives the right pixels, or one line that names the file."""

import dataclasses
import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
import rasterio
import tifffile
from folders import write_palette_png
from PIL import Image, ImageOps

from data_pipelines import IGNORE, DataError, DatasetSpec, load
from data_pipelines.datasets.files import FileDataset
from data_pipelines.reading import decoding
from data_pipelines.reading.images import read_image, read_label, read_masked, size_of
from data_pipelines.spec import Sample, Window

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # of writing

CLASSES = {"classes": ("sky", "road"), "palette": ((0, 0, 0), (9, 9, 9)), "splits": {}}
SPEC = DatasetSpec("tiny", **CLASSES, mean=(1.0, 2.0, 3.0), std=(1.0,) * 3, void_ids=(11,))
FLOATS = DatasetSpec("heights", **CLASSES, mean=(5.0,), std=(1.0,), dtype="float32")
RGBA = DatasetSpec("rgba", **CLASSES, mean=(0.0,) * 4, std=(1.0,) * 4)


def noise(*shape, most=256, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, most, shape).astype(dtype)


def save(path, pixels, **options):
    """Writes RGB(A), grey or CMYK pixels with Pillow, in the format that `format` or the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels, options.pop("mode")) if "mode" in options else Image.fromarray(pixels)
    picture.save(path, **options)
    return path


def save_tiff(path, pixels, **options):
    height, width, bands = pixels.shape
    facts = {"height": height, "width": width, "count": bands, "dtype": pixels.dtype, "driver": "GTiff", **options}
    with rasterio.open(path, "w", **facts) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


def refusal(read, *arguments, **options):
    with pytest.raises(DataError) as error:
        read(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def assert_refused(read, path, *parts):
    message = refusal(read, path)
    for part in (str(path), *parts):
        assert part in message


def read_tiny_label(path):
    return read_label(path, SPEC)


def frame(folder, name, split="train", label=None):
    """A frame of CamVid with its label."""
    label = noise(4, 6, most=12) if label is None else label
    save(folder / split / name, noise(4, 6, 3), format="PNG")
    save(folder / f"{split}annot" / name, label, format="PNG")


def train_names(folder):
    return [sample.name for sample in load("camvid", folder).samples("train")]


# 1: truncated files


SMOOTH = cv2.GaussianBlur(noise(80, 90, 3), (0, 0), 3)


CUTS = [
    ("rgb.png", noise(9, 11, 3), {}),
    ("palette.png", noise(9, 11, most=4), {}),
    ("grey16.png", noise(9, 11, most=2, dtype=np.uint16), {}),
    ("baseline.jpg", SMOOTH, {"quality": 90}),
    ("progressive.jpg", SMOOTH, {"progressive": True}),
    ("a.webp", SMOOTH, {"lossless": True}),
    ("a.bmp", noise(9, 11, 3), {}),
    ("a.gif", noise(9, 11, most=2), {}),
    ("strips.tif", noise(19, 23, 3), {}),
    ("tiles.tif", noise(19, 23, 3), {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}),
    ("planes.tif", noise(19, 23, 3), {"interleave": "band", "compress": "lzw"}),
    ("a.npy", noise(9, 11, 3), {}),
]


@pytest.mark.parametrize(("name", "pixels", "options"), CUTS, ids=[name for name, *_ in CUTS])
def test_a_file_cut_anywhere_is_refused_or_whole(name, pixels, options, tmp_path):
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".tif":
        save_tiff(path, pixels, **options)
    elif name == "palette.png":
        write_palette_png(path, pixels)
    else:
        save(path, pixels, **options)
    spec = DatasetSpec("ids", **CLASSES, mean=(0.0,) * 3, std=(1.0,) * 3, void_ids=range(2, 255))
    readers = [lambda: read_label(path, spec)] if pixels.ndim == 2 else [lambda: read_image(path)]
    readers += [lambda: read_image(path)] if name == "palette.png" else []
    data, wholes = path.read_bytes(), [read() for read in readers]
    # The last bytes, which hold no pixels in some formats, one by one, and a hundred positions before them.
    positions = {*range(0, len(data), -(-len(data) // 100)), *range(len(data) - 30, len(data))}
    for position in positions:
        path.write_bytes(data[:position])
        for read, whole in zip(readers, wholes):
            try:
                np.testing.assert_array_equal(read(), whole, err_msg=f"cut at {position}")
            except DataError as error:
                assert str(path) in str(error) and "\n" not in str(error)
    path.write_bytes(data[: len(data) // 2])
    for read in readers:
        assert "is damaged" in refusal(read)


@pytest.mark.parametrize("thumbnail", [False, True])
def test_a_jpeg_whose_rest_was_never_written(thumbnail, tmp_path):
    path = save(tmp_path / "a.jpg", cv2.GaussianBlur(noise(80, 90, 3), (0, 0), 0.5))
    data = path.read_bytes()
    if thumbnail:  # in a segment behind the first two bytes, a whole JPEG itself
        small = save(tmp_path / "small.jpg", noise(8, 8)).read_bytes()
        data = data[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + data[2:]
    path.write_bytes(data + b"what a camera appends")
    assert read_image(path).shape == (80, 90, 3)
    data = data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None  # OpenCV makes up pixels
    assert_refused(read_image, path, "damaged")


# 2 and 3: wrong magic, zero bytes


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.npy", "a.webp", "a.bmp"])
@pytest.mark.parametrize(
    "content", [b"", b"<html>404 not found</html>", b"II*\0", b"MM\0*\0\0\0\x08", b"\x93NUMPY", b"BM"]
)
def test_files_that_are_no_image(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert_refused(read_image, tmp_path / name, "damaged", "replace it or leave it out")
    assert_refused(read_tiny_label, tmp_path / name, "damaged", "replace it or leave it out")
    assert_refused(size_of, tmp_path / name, "damaged")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.npy"])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_the_content_counts_not_the_name(name, kind, tmp_path):
    pixels = noise(5, 7, 3)
    save(tmp_path / name, pixels, format=kind, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(read_image(tmp_path / name), pixels)
    assert size_of(tmp_path / name) == (5, 7)


def test_an_array_of_objects_runs_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{}]], object), allow_pickle=True)
    assert_refused(read_image, tmp_path / "a.npy", "damaged or no image")


# 4: labels with three channels


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_a_label_with_three_channels(kind, tmp_path):
    path = save(tmp_path / "a.x", noise(4, 6, 3), format=kind)
    assert_refused(read_tiny_label, path, "label", "3 channels: expected one channel of class ids")


def test_a_label_as_jpeg(tmp_path):
    assert_refused(read_tiny_label, save(tmp_path / "a.jpg", noise(8, 8, most=2)), "changes class ids", "as PNG")


# 5: palettes


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP"])
def test_a_palette_is_colours_in_images_and_indices_in_labels(kind, tmp_path):
    ids = noise(4, 6, most=2)
    picture = Image.fromarray(ids)
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "a.x", format=kind)
    np.testing.assert_array_equal(read_image(tmp_path / "a.x"), np.array([[10, 20, 30], [40, 50, 60]])[ids])
    np.testing.assert_array_equal(read_tiny_label(tmp_path / "a.x"), ids)


@pytest.mark.parametrize("scale", [1, 256, 257])
def test_colours_of_a_tiff_by_any_writer(scale, tmp_path):
    """The palette has 16 bits: some fill the upper 8, some both halves alike, and some the lower ones alone."""
    ids, colours = noise(4, 6, most=2), np.zeros((256, 3), np.uint16)
    colours[:2] = [10, 20, 30], [40, 50, 255]
    tifffile.imwrite(tmp_path / "a.tif", ids, photometric="palette", colormap=scale * colours.T)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), colours[ids])


# 6: alpha


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_left_out_where_it_is_opaque(kind, tmp_path):
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = noise(4, 6, 4)
    pixels[..., 3] = 255
    path = save(tmp_path / "a.x", pixels, format=kind, **options)
    np.testing.assert_array_equal(read_image(path, SPEC), pixels[..., :3])
    pixels[1, 2:4, 3] = 254, 0
    if kind == "WEBP":
        options["exact"] = True  # else colours that nobody sees are not kept
    save(path, pixels, format=kind, **options)
    expected = pixels[..., :3].copy()
    expected[1, 3] = SPEC.mean
    image, void = read_masked(path, SPEC)
    np.testing.assert_array_equal(image, expected)
    assert np.argwhere(void).tolist() == [[1, 3]]  # what can be seen in part was measured
    np.testing.assert_array_equal(read_image(path, RGBA), pixels)
    image, void = read_masked(path, dataclasses.replace(SPEC, nodata_tags="labels"))
    np.testing.assert_array_equal(image, pixels[..., :3])
    assert void is None


@pytest.mark.parametrize("opaque", [True, False])
def test_a_colour_or_an_index_that_is_clear(opaque, tmp_path):
    """PNG's other ways of transparency: one colour, and a value for each colour of a palette."""
    pixels = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
    rgb = save(tmp_path / "rgb.png", pixels, transparency=(1, 2, 3) if opaque else (10, 20, 30))
    picture = Image.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette(pixels.tobytes())
    picture.save(tmp_path / "palette.png", transparency=bytes([255 * opaque, 255]))
    for path in (rgb, tmp_path / "palette.png"):
        image, void = read_masked(path, SPEC)
        np.testing.assert_array_equal(image[0, opaque ^ 1 :], pixels[0, opaque ^ 1 :])
        assert void is None if opaque else void.tolist() == [[True, False]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_grey_that_is_clear(bits, tmp_path):
    """OpenCV drops it. Pillow writes 1, 2 and 4 bits of a palette alone, so that these files are made here."""
    values = np.arange(2**bits - 2, 2**bits).reshape(1, 2) if bits < 16 else np.array([[7, 60000]])
    clear = int(values[0, 1])
    rows = np.packbits(np.unpackbits(values.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, -bits:])
    header = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tRNS", struct.pack(">H", clear)), (b"IDAT", zlib.compress(b"\0" + rows.tobytes())))
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (*chunks, (b"IEND", b""))
    )
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    dtype = "uint16" if bits == 16 else "uint8"
    spec = DatasetSpec("one", **CLASSES, mean=(9.0,), std=(1.0,), dtype=dtype)
    image, void = read_masked(path, spec)
    shown = values[0, 0] * (255 // (2**bits - 1) if bits < 8 else 1)
    assert image.ravel().tolist() == [shown, 9] and void.tolist() == [[False, True]]
    label = dataclasses.replace(SPEC, classes=CLASSES["classes"], label_ids=(int(values[0, 0]), clear), rest=255)
    assert read_label(path, label).tolist() == [[0, IGNORE]]


def test_grey_with_alpha(tmp_path):
    pixels = noise(4, 6, 2)
    pixels[..., 1] = 255
    path = save(tmp_path / "a.png", pixels, mode="LA")
    np.testing.assert_array_equal(read_image(path), np.repeat(pixels[..., :1], 3, axis=2))
    one = DatasetSpec("one", **CLASSES, mean=(0.0,), std=(1.0,))
    np.testing.assert_array_equal(read_image(path, one), pixels[..., :1])
    pixels[0, 0, 1] = 0
    save(path, pixels, mode="LA")
    assert np.argwhere(read_masked(path, SPEC)[1]).tolist() == [[0, 0]]
    assert np.argwhere(read_masked(path, one)[1]).tolist() == [[0, 0]]


# 7: CMYK


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    inks = np.empty((16, 16, 4), np.uint8)
    inks[...] = 200, 40, 90, 30
    path = save(tmp_path / "a.jpg", inks, mode="CMYK", quality=98)
    expected = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:].astype(float)) / 255
    assert np.abs(read_image(path) - expected).max() < 4  # what the compression costs


# 8: orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_that_a_camera_marked_to_be_turned(kind, orientation, tmp_path):
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    exif = Image.Exif()
    exif[274] = orientation
    path = save(tmp_path / "a.x", SMOOTH[:16, :24], format=kind, exif=exif, **options)
    stored = read_image(path)
    assert stored.shape == (16, 24, 3) and size_of(path) == (16, 24)
    np.testing.assert_array_equal(read_image(path, orientation="stored"), stored)
    upright = read_image(path, orientation="upright")
    np.testing.assert_array_equal(upright, ImageOps.exif_transpose(_with_tag(stored, exif)))
    if orientation > 1:
        message = refusal(read_image, path, orientation="refuse")
        assert str(path) in message and "marked to be turned" in message and "remove the mark" in message
    else:
        np.testing.assert_array_equal(read_image(path, orientation="refuse"), stored)


def _with_tag(pixels, exif):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    return Image.open(file)


# 9 and 10: sizes and ids


def test_sizes_that_differ_also_in_windows(tmp_path):
    frame(tmp_path, "a.png", label=noise(6, 4, most=12))
    dataset = load("camvid", tmp_path)
    (sample,) = dataset.samples("train")
    assert "is 4x6 but its label" in refusal(dataset.read, sample)
    window = Window(0, 0, 3, 3)
    assert "is 4x6 but its label" in refusal(dataset.read, dataclasses.replace(sample, window=window))


@pytest.mark.parametrize(("value", "dtype"), [(12, np.uint8), (254, np.uint8), (300, np.uint16), (256, np.uint16)])
def test_an_unknown_id_is_named(value, dtype, tmp_path):
    frame(tmp_path, "a.png", label=np.full((4, 6), value, dtype))
    dataset = load("camvid", tmp_path)
    message = refusal(dataset.read, dataset.samples("train")[0])
    assert str(tmp_path / "trainannot" / "a.png") in message and f"holds value {value}:" in message


# 11: empty folders


def test_a_split_without_images(tmp_path):
    frame(tmp_path, "a.png")
    (tmp_path / "train" / "a.png").unlink()
    assert f"'train' is empty: no images in {tmp_path / 'train'}" in refusal(train_names, tmp_path)


# 12 and 13: links and permissions


def test_a_link_to_nowhere(tmp_path):
    frame(tmp_path, "a.png")
    path = tmp_path / "train" / "a.png"
    path.unlink()
    path.symlink_to(tmp_path / "gone.png")
    dataset = load("camvid", tmp_path)
    assert f"cannot read {path}: No such file" in refusal(dataset.read, dataset.samples("train")[0])


def test_a_file_that_nobody_may_read(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", noise(4, 6, 3))
    path.chmod(0)
    if os.geteuid() == 0:  # who may read everything

        def denied(path, *_, **__):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(decoding, "open", denied, raising=False)
    assert_refused(read_image, path, "cannot read", "Permission denied")


def test_a_folder_that_nobody_may_read(tmp_path, monkeypatch):
    frame(tmp_path, "a.png")
    dataset = load("camvid", tmp_path)

    def denied(split):
        raise PermissionError(13, "Permission denied", str(tmp_path / split))

    monkeypatch.setattr(dataset, "listing", denied)
    assert refusal(dataset.samples, "train") == f"cannot read {tmp_path / 'train'}: Permission denied"


# 14 and 15: names


@pytest.mark.parametrize("name", ["A.PNG", "a frame of mine.png", "straße 街 é.png", "a.b.png", "a!b#c%20.png"])
@pytest.mark.parametrize("listed", [False, True])
def test_odd_names(name, listed, tmp_path):
    frame(tmp_path, name)
    frame(tmp_path, "b.png")
    if listed:
        lines = [f"/SegNet/Cam Vid/train/{name} /SegNet/Cam Vid/trainannot/{name}", "b.png"]
        (tmp_path / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    dataset = load("camvid", tmp_path)
    samples = {sample.image.name: sample for sample in dataset.samples("train")}
    assert samples.keys() == {name, "b.png"}
    image, label = dataset.read(samples[name])
    np.testing.assert_array_equal(image, noise(4, 6, 3))
    np.testing.assert_array_equal(label, np.where(noise(4, 6, most=12) == 11, IGNORE, noise(4, 6, most=12)))


@pytest.mark.parametrize("name", ["A.TIF", "a frame.tiff", "straße 街.tif", "a!b#c%20.tif", "zip:a.tif"])
def test_odd_names_of_tiffs(name, tmp_path):
    path = save_tiff(tmp_path / "a.tif", noise(4, 6, 3)).rename(tmp_path / name)
    np.testing.assert_array_equal(read_image(path), noise(4, 6, 3))
    np.testing.assert_array_equal(read_image(str(path)), noise(4, 6, 3))


# 16 and 17: lists


def test_a_list_in_another_encoding(tmp_path):
    frame(tmp_path, "a.png")
    (tmp_path / "train.txt").write_bytes("straße.png".encode("latin-1"))
    assert f"cannot read {tmp_path / 'train.txt'}: it is no text in UTF-8" in refusal(train_names, tmp_path)


def test_a_list_of_foreign_paths_that_names_what_is_not_there(tmp_path):
    frame(tmp_path, "a.png")
    (tmp_path / "train.txt").write_text("/home/somebody/CamVid/train/z.png /home/somebody/CamVid/trainannot/z.png\n")
    dataset = load("camvid", tmp_path)
    assert f"cannot read {tmp_path / 'train' / 'z.png'}: No such" in refusal(dataset.read, dataset.samples("train")[0])


def test_a_name_that_is_listed_twice(tmp_path):
    frame(tmp_path, "a.png")
    frame(tmp_path, "b.png")
    (tmp_path / "train.txt").write_text("x/a.png\nb.png\ny/a.png\n")
    assert "split 'train' has 2 images called 'a': leave one" in refusal(train_names, tmp_path)


def test_two_files_of_one_name(tmp_path):
    frame(tmp_path, "a.png")
    frame(tmp_path, "a.PNG")
    assert "2 images called 'a'" in refusal(train_names, tmp_path)


# 18: NaN


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(value, tmp_path):
    heights = noise(4, 6, 1).astype(np.float32)
    heights[1, 2:4] = value
    path = save_tiff(tmp_path / "a.tif", heights)
    assert_refused(lambda path: read_image(path, FLOATS), path, "2 pixels with NaN or infinite values", "nodata")


def test_pixels_without_data_have_no_label(tmp_path):
    heights = noise(4, 6, 1).astype(np.float32)
    heights[1, 2:4] = np.nan
    save_tiff(tmp_path / "a.tif", heights)
    label = save(tmp_path / "a.png", noise(4, 6, most=2))

    class Heights(FileDataset):
        spec = dataclasses.replace(FLOATS, nodata=np.nan)
        title = layout = "heights"

        def places(self, split):
            return []

        def listing(self, split):
            return []

    image, ids = Heights(tmp_path).read(Sample("a", tmp_path / "a.tif", label))
    expected = noise(4, 6, most=2)
    expected[1, 2:4] = IGNORE
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(image, np.where(np.isnan(heights), np.float32(5), heights))


# 19: depths


@pytest.mark.parametrize("kind", ["png", "tiff", "pgm"])
@pytest.mark.parametrize(("found", "expected"), [("uint16", "uint8"), ("uint8", "uint16"), ("uint8", "float32")])
def test_images_of_another_depth(kind, found, expected, tmp_path):
    path = tmp_path / f"a.{kind}"
    assert cv2.imwrite(str(path), noise(4, 6, dtype=found))
    spec = DatasetSpec("deep", **CLASSES, mean=(0.0,), std=(1.0,), dtype=expected)
    assert_refused(lambda path: read_image(path, spec), path, f"has {found} values, but deep has {expected}", "convert")


# 20: splits


def test_a_frame_of_two_splits(tmp_path):
    for name, split in (("a", "train"), ("b", "train"), ("b", "val"), ("c", "val"), ("d", "test")):
        frame(tmp_path, f"{name}.png", split)
    dataset = load("camvid", tmp_path)
    message = refusal(dataset.samples, "val")
    assert "splits 'val' and 'train'" in message and "share 1 of 2 frames, such as 'b': remove them" in message
    assert "splits 'train' and 'val'" in refusal(dataset.samples, "train")
    assert [sample.name for sample in dataset.samples("test")] == ["d"]
