"""Files of somebody who means harm: each is refused in one line, before it takes memory, time or another's place."""

import contextlib
import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tensorflow as tf
from archive_files import FILES
from noise import Noise
from PIL import Image

from data_pipelines import load, manifests, memory
from data_pipelines.datasets.coco_for_voc import read_annotations
from data_pipelines.own_data.description import read_description
from data_pipelines.own_data.matching import files_below
from data_pipelines.programs import archives
from data_pipelines.programs.prepare import prepare
from data_pipelines.reading import formats
from data_pipelines.reading.decoding import image_values, label_values, palette_of
from data_pipelines.records import FRAME, HEAD, Prepared
from data_pipelines.spec import DataError
from data_pipelines.writing import write_file

GIB = 2**30


@pytest.fixture(autouse=True)
def little_memory(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: GIB)


def refused(message, function, *arguments):
    with contextlib.suppress(OSError):  # what heavier tests before it have held says nothing of this one
        Path("/proc/self/clear_refs").write_text("5")
    before = memory.peak()
    with pytest.raises(DataError, match=message) as error:
        function(*arguments)
    assert "\n" not in str(error.value)
    assert memory.peak() - before < GIB // 8


# Pictures


def png(width, height, bits=8, kind=2):
    def part(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    pixels = zlib.compress(bytes(10**6), 9)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", pixels) + part(b"IEND", b"")


def with_size(kind, place, width, height, form):
    data = io.BytesIO()
    Image.new("L" if kind != "GIF" else "P", (4, 4)).save(data, kind)
    data = bytearray(data.getvalue())
    place = data.index(b"\xff\xc0") + 5 if kind == "JPEG" else place
    data[place : place + struct.calcsize(form)] = struct.pack(
        form, *((height, width) if kind == "JPEG" else (width, height))
    )
    return bytes(data)


BOMBS = {
    "rgb.png": png(100_000, 100_000),
    "deep.png": png(20_000, 20_000, 16, 6),
    "grey.png": png(40_000, 40_000, 8, 0),
    "palette.png": png(100_000, 100_000, 8, 3),
    "a.jpg": with_size("JPEG", 0, 65_000, 65_000, ">HH"),
    "a.gif": with_size("GIF", 6, 65_000, 65_000, "<HH"),
    "a.bmp": with_size("BMP", 18, 100_000, 100_000, "<ii"),
    "a.pgm": b"P5 60000 60000 255\n" + bytes(100),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("read", [image_values, label_values, palette_of])
def test_a_picture_that_claims_more_pixels_than_there_is_memory(tmp_path, name, read):
    (tmp_path / name).write_bytes(BOMBS[name])
    told = rf"{name} \(\d+x\d+ pixels\) says that it takes .* GiB are free: save it as a TIFF in tiles"
    refused(f"{told}|label .* is a JPEG", read, tmp_path / name)


def test_a_file_of_more_bytes_than_there_is_memory_is_not_read(tmp_path, monkeypatch):
    with open(tmp_path / "a.png", "wb") as file:
        file.write(png(4, 4))
        file.truncate(4 * GIB)  # which takes no room on the disk
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * GIB)
    refused("a.png says that it takes 4.0 GiB in memory, and 2.0 GiB are free", image_values, tmp_path / "a.png")


def test_a_part_of_a_picture_that_claims_gigabytes(tmp_path):
    data = png(4, 4)
    place = data.index(b"IDAT")
    (tmp_path / "a.png").write_bytes(data[: place - 4] + b"\xff\0\0\0" + data[place:])
    refused("damaged or no image", image_values, tmp_path / "a.png")


def test_a_size_that_is_claimed_is_that_of_the_header():
    for kind in ("PNG", "JPEG"):
        data = io.BytesIO()
        Image.new("RGB", (31, 17)).save(data, kind, **({"progressive": True} if kind == "JPEG" else {}))
        assert formats.claimed_size(data.getvalue())[:2] == (17, 31)
    assert formats.claimed_size(b"GIF89a") is None
    assert formats.claimed_size(b"\xff\xd8\xff") is None


def test_a_tiff_that_claims_more_pixels_than_there_is_memory(tmp_path):
    path = tmp_path / "a.tif"
    kind = {"driver": "GTiff", "dtype": "uint8", "compress": "deflate", "sparse_ok": True}
    with rasterio.open(path, "w", height=60_000, width=60_000, count=1, tiled=True, **kind):
        pass
    assert path.stat().st_size < 10**6
    refused("a.tif says that it takes 3.4 GiB", image_values, path)


def test_a_tiff_of_more_bands_than_anything_has(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", height=1, width=1, count=5000, dtype="uint8", interleave="pixel"):
        pass
    refused("says that it has 5000 bands", image_values, path)


def test_an_array_that_is_larger_than_memory(tmp_path):
    path = tmp_path / "a.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (50_000, 50_000)).flush()  # takes no room on the disk
    refused("a.npy says that it takes 2.3 GiB", image_values, path)


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{"a": 1}]], object), allow_pickle=True)
    refused("damaged or no image", image_values, tmp_path / "a.npy")


# dataset.yaml and dataset.json

SOUND = "images: a\nlabels: b\nclasses: [x, y]\n"
LAUGHS = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}' if n else 'lol'] * 9)}]\n" for n in range(12))


@pytest.mark.parametrize(
    "text, message",
    [
        (LAUGHS + "splits: *x11\n", "aliases that stand for more than"),
        ("x: &x\n  <<: [*x, *x]\n", "aliases that stand for more than|no valid YAML"),
        ("x: &x [*x]\n", "aliases that stand for more than"),
        ("x: " + "[" * 5000, "more than 20 levels"),
        ("x: " + "{a: " * 5000, "more than 20 levels"),
        (SOUND + "x: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        (SOUND + 'x: "\0"\n', "special characters"),
        ("{" + ", ".join(f"k{n}: 1" for n in range(3000)) + "}", "unknown key"),
    ],
)
def test_yaml_that_is_meant_to_take_memory_time_or_the_process(tmp_path, text, message):
    (tmp_path / "dataset.yaml").write_text(text)
    refused(message, read_description, tmp_path)


def test_aliases_that_stand_for_little_are_read(tmp_path):
    text = "images: a\nlabels: b\nlabels_hold: colours\nclasses: [x, y]\n"
    text += "palette: &colours {x: [0, 0, 0], y: [9, 9, 9]}\nlabel_colours: *colours\n"
    (tmp_path / "dataset.yaml").write_text(text)
    assert read_description(tmp_path).label_colours == ((0, 0, 0), (9, 9, 9))


@pytest.mark.parametrize("word", ["truehaven", "falsework"])
def test_a_class_may_begin_with_true_or_false(tmp_path, word):
    (tmp_path / "dataset.yaml").write_text(f"images: a\nlabels: b\nclasses: [{word}, y]\n")
    assert read_description(tmp_path).classes == (word, "y")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_json_of_many_levels(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    refused("levels", read_description, tmp_path)


def test_a_description_of_many_megabytes(tmp_path):
    (tmp_path / "dataset.yaml").write_text("#" * 2**25 + "\n")
    refused("more than 33554432 bytes", read_description, tmp_path)


# Names of files


@pytest.mark.parametrize("folder", ["a\0b", "x" * 300])
def test_a_folder_whose_name_no_system_has(tmp_path, folder):
    (tmp_path / "dataset.json").write_text(json.dumps({"images": folder, "labels": "b", "classes": ["x", "y"]}))
    refused("no folder|images must be text", load, "folders", tmp_path)


def test_a_name_that_is_no_text(tmp_path):
    os.mkdir(tmp_path / "images")
    try:
        (tmp_path / "images" / os.fsdecode(b"a\xff.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system has texts alone")
    refused(r"name of \S+/images/a.+png is no text in UTF-8", files_below, tmp_path / "images")
    odd = (tmp_path / "images").rename(tmp_path / os.fsdecode(b"b\xff"))
    (odd / "c").mkdir()
    (odd / "c" / "d.png").touch()
    refused(r"name of \S+/b[^/]+ is no text in UTF-8", files_below, odd / "c")


def test_a_file_may_have_the_longest_name_that_there_is(tmp_path):
    write_file(tmp_path / ("ü" * 125 + ".json"), b"x")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"x"]


# Prepared records


@pytest.fixture
def folder(tmp_path):
    prepare(Noise(), "train", tmp_path, {"name": "noise", "options": {}}, threads=1)
    return tmp_path


def rewrite(folder, change):
    manifest = json.loads((folder / "train.json").read_text())
    change(manifest)
    (folder / "train.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "place, value",
    [
        (("file",), "../train-00000.tfrecord"),
        (("file",), "/etc/passwd"),
        (("file",), "train.json"),
        (("bytes",), -1),
        (("records", 0, 0), "../../a"),
        (("records", 0, 1), -1),
        (("records", 0, 1), 1.5),
        (("records", 0, 1), 2**70),
        (("records", 0, 3), [1, 2]),
        (("records", 0), "abcdef"),
        (("records",), {}),
    ],
)
def test_a_manifest_with_places_and_lengths_that_can_not_be(folder, place, value):
    def change(manifest):
        *groups, last = ("shards", 0, *place)
        node = manifest
        for key in groups:
            node = node[key]
        node[last] = value

    rewrite(folder, change)
    refused(r"train\.json is damaged", Prepared, folder)


@pytest.mark.parametrize("key", ["dataset", "spec", "shards"])
def test_a_manifest_without_a_part(folder, key):
    rewrite(folder, lambda manifest: manifest.pop(key))
    refused(r"train\.json is damaged", Prepared, folder)


def test_a_spec_that_contradicts_itself(folder):
    rewrite(folder, lambda manifest: manifest["spec"].update(dtype="float64"))
    refused("manifests in .* are damaged", Prepared, folder)


def record_of(folder, example):
    """`Prepared` whose first record holds `example`, with all its lengths and sums."""
    data = example.SerializeToString()
    shard = next(folder.glob("*.tfrecord"))
    shard.write_bytes(bytes(HEAD) + data + bytes(FRAME - HEAD))
    entry = ["a", len(data), zlib.crc32(data), None, None, ""]
    rewrite(folder, lambda manifest: manifest["shards"][0].update(bytes=len(data) + FRAME, records=[entry]))
    return Prepared(folder)


def example(shape, image, encoding=b"zlib"):
    def feature(**kind):
        return tf.train.Feature(**kind)

    of_bytes = {"image": image, "label": zlib.compress(b""), "encoding": encoding, "name": b"a"}
    features = {key: feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in of_bytes.items()}
    features["shape"] = feature(int64_list=tf.train.Int64List(value=shape))
    return tf.train.Example(features=tf.train.Features(feature=features))


@pytest.mark.parametrize(
    "shape, message",
    [((100_000, 100_000, 3), "says that it takes"), ((2, 2, 3), "holds no image"), ((0, 2, 3), "holds no image"),
     ((-1, -1, 3), "holds no image"), ((4,), "holds no image"), ((2, 2, 7), "holds no image")],
)  # fmt: skip
def test_a_record_that_unpacks_to_more_than_it_says(folder, shape, message):
    data = record_of(folder, example(shape, zlib.compress(bytes(10**7), 9)))
    refused(message, data.read, data.samples("train")[0])


def test_what_is_inside_of_a_folder():
    assert all(map(manifests.is_inside, ("a", "a/b", "..a", "a..b/c", "a b", "-a", "ä")))
    assert not any(map(manifests.is_inside, ("", " ", "..", "../a", "a/../../b", "/a", "a\0", None, 3)))


# Annotations


@pytest.mark.parametrize("entry", [{"file_name": "../a.jpg"}, {"height": -1}, {"width": "9"}, {"height": 2**40}])
def test_an_image_of_coco_in_another_place_or_of_no_size(tmp_path, entry):
    image = {"id": 1, "file_name": "a.jpg", "height": 8, "width": 9, **entry}
    (tmp_path / "a.json").write_text(json.dumps({"categories": [], "images": [image], "annotations": []}))
    refused("is no file of COCO's objects", read_annotations, tmp_path / "a.json")


# Archives; tests/data_pipelines/programs/test_archives.py has those that point out of it


def members(path):
    with archives._opened(path) as found:
        return [member.path for member in archives._check(Source, found)]


class Source:
    counts = dict.fromkeys(("train", "trainannot"), 2)


def tar_header(kind, size):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_header_that_claims_gigabytes(tmp_path, kind):
    with gzip.open(tmp_path / "a.tgz", "wb", compresslevel=1) as file:
        file.write(tar_header(kind, 8 * GIB))
        file.write(bytes(GIB // 16))
    refused("unsafe archive: a header|damaged archive", members, tmp_path / "a.tgz")


def test_a_file_of_less_than_nothing(tmp_path):
    first = tarfile.TarInfo("train/a.png")
    first.size = -512
    header = bytearray(first.tobuf(tarfile.GNU_FORMAT))
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    refused("damaged archive|unsafe archive", members, tmp_path / "a.tar")


def test_more_members_than_any_data_set_has(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in FILES:
            archive.writestr(name, b"")
    refused("more than 3 members", members, tmp_path / "a.zip")


def test_a_zip_file_that_unpacks_to_more_than_it_says(tmp_path, monkeypatch):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a.png", bytes(10**6))
    whole = data.getvalue().replace(struct.pack("<I", 10**6), struct.pack("<I", 10))
    (tmp_path / "a.zip").write_bytes(whole)
    with archives._opened(tmp_path / "a.zip") as found:
        (member,) = found
        with pytest.raises(zipfile.BadZipFile), member.open() as file:
            while part := file.read(2**16):
                assert len(part) <= 10
