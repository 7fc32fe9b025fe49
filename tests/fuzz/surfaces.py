"""Where foreign bytes come in. A surface makes an input from random numbers, and gives it to what reads such."""

import io
import json
import tarfile
import zipfile
import zlib

import archive_files
import cv2
import h5py
import mutate
import numpy as np
import rasterio
import yaml
from PIL import Image

from data_pipelines import DataError, DatasetSpec, load, records
from data_pipelines.datasets import coco_for_voc, pascal_voc
from data_pipelines.own_data import band_statistics, lists
from data_pipelines.own_data.description import read_description
from data_pipelines.own_data.parts import Part
from data_pipelines.programs import fetch
from data_pipelines.programs.prepare import prepare
from data_pipelines.programs.sources import Source, digest
from data_pipelines.reading.decoding import palette_of, size_of
from data_pipelines.reading.images import read_image, read_label
from data_pipelines.reading.places import place_of
from data_pipelines.spec import Window
from did_tf.common.errors import ConfigError
from did_tf.programs import cli
from did_tf.runs import checkpoints, manifest, results, selection, weights
from did_tf.runs.run_folder import RunFolder, read_metrics
from did_tf.scoring.official.kitti_road import read_calibration

EXPECTED = (DataError, ConfigError)
"""What a bad input ends in: one line."""
SPEC = DatasetSpec("fuzzed", ("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (99, 9, 9)), {}, mean=(0.0,) * 3, std=(1.0,) * 3)


class Surface:
    """A way in.

    Args:
      folder: its own, in which inputs are written.
    """

    share = 1
    """How many of the inputs are its, beside the others'."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True)

    def make(self, rng):
        """Writes an input."""

    def read(self):
        """Reads it as the program does."""


class Overrides(Surface):
    """Settings on the command line."""

    share = 12

    def __init__(self, folder):
        super().__init__(folder)
        self.keys = [line.split("=")[0] for line in cli._listed(cli.load_experiment("did_synthetic"))]
        self.texts = []

    def make(self, rng):
        self.texts = [f"{self._key(rng)}={self._text(rng)}" for _ in range(rng.randint(1, 3))]

    def _key(self, rng):
        key = rng.choice(self.keys).strip()
        how = rng.random()
        if how < 0.1:
            group = rng.choice(("dataset.options.", "optimizer.multipliers.", "loss.output_weights.", ""))
            return f"--config.{group}{rng.choice(mutate.NAMES)}"
        return mutate.of_text(rng, key, 1) if how < 0.2 else key

    def _text(self, rng):
        value = mutate.any_value(rng)
        text = rng.choice((str, repr))(value)
        return mutate.of_text(rng, text) if rng.random() < 0.3 else text

    def read(self):
        cli.resolve("did_synthetic", RunFolder("/nonexistent"), self.texts)


DESCRIPTION = {
    "images": "images",
    "labels": "labels",
    "image_suffix": "",
    "label_suffix": "_mask",
    "extras": [{"folder": "depth", "bands": ["depth"], "dtype": "uint16"}],
    "bands": ["red", "green", "blue"],
    "dtype": "uint8",
    "labels_hold": "ids",
    "classes": {0: "road", 1: "car", 2: "sky"},
    "palette": {"road": [128, 64, 128]},
    "nodata": 0,
    "nodata_rule": "any",
    "void": [3, 255],
    "rest": "road",
    "splits": {"train": 0.8, "val": 0.2},
    "group": "folder",
    "patch": [16, 16],
    "overlap": 4,
}
COLOURS = {
    "images": "images",
    "labels": "labels",
    "label_suffix": "_mask",
    "labels_hold": "colours",
    "classes": ["road", "car"],
    "palette": {"road": [1, 2, 3], "car": [4, 5, 6]},
    "label_colours": {"road": [[1, 2, 3], [0, 0, 0]], "car": [4, 5, 6]},
    "void": "others",
    "labels_soft": "nearest",
    "splits": {"train": ["a", "b"], "val": ["c"]},
}


class DatasetYaml(Surface):
    """dataset.yaml as text."""

    share = 16
    seeds = [yaml.safe_dump(content, sort_keys=False) for content in (DESCRIPTION, COLOURS)]

    def make(self, rng):
        text = mutate.of_text(rng, rng.choice(self.seeds))
        how = rng.random()
        text = self._bomb(rng) + text if how < 0.05 else mutate.deep_text(rng) if how < 0.06 else text
        (self.folder / "dataset.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))

    def _bomb(self, rng):
        wide = rng.choice(("splits", "classes", "palette", "void", "bands", "extras"))
        lines = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}' if n else 'lol'] * 9)}]" for n in range(rng.choice((3, 12)))]
        return "\n".join([*lines, f"{wide}: *x{len(lines) - 1}", ""])

    def read(self):
        read_description(self.folder)


class DatasetJson(Surface):
    """dataset.json, valid but for what is in it."""

    share = 12

    def make(self, rng):
        content = mutate.of_value(rng, rng.choice((DESCRIPTION, COLOURS)))
        text = mutate.deep_text(rng) if rng.random() < 0.01 else json.dumps(content)
        text = mutate.of_text(rng, text, 2) if rng.random() < 0.2 else text
        (self.folder / "dataset.json").write_bytes(text.encode("utf-8", "surrogateescape"))

    def read(self):
        read_description(self.folder)


class OwnData(Surface):
    """A folder of images and labels with a dataset.json, as training opens it, to the first sample."""

    share = 4
    base = {"images": "images", "labels": "labels", "classes": ["a", "b"], "splits": {"train": 0.5, "val": 0.5}}

    def __init__(self, folder):
        super().__init__(folder)
        for number, name in enumerate(("a", "b", "day/c", "day/d")):
            for part, bands in (("images", (3,)), ("labels", ())):
                path = folder / part / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng(number).integers(0, 2, (8, 9, *bands)).astype(np.uint8)
                path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        (folder / "train.txt").write_text("a\nb\n")

    def make(self, rng):
        (self.folder / "statistics.json").unlink(missing_ok=True)
        more = {"splits": {"train": "train.txt", "val": ["day/c"]}} if rng.random() < 0.4 else {}
        more |= {"patch": 4} if rng.random() < 0.3 else {}
        content = mutate.of_value(rng, {**self.base, **more})
        (self.folder / "dataset.json").write_text(json.dumps(content))

    def read(self):
        dataset = load("folders", self.folder)
        for split in dataset.spec.splits:
            dataset.read(dataset.samples(split)[0])


class Lists(Surface):
    """List files of splits."""

    share = 8
    seeds = (
        "a\nb\nday/c\n",
        "a.png b.png\nb.png a.png\n",
        "image,label\na.png,a.png\n",
        "/data/x/a.png\t/data/y/a.png\n",
    )

    def __init__(self, folder):
        super().__init__(folder)
        names = ["a", "b", "day/c"]
        self.files = lists.Files(Part(folder / "images", "", (), ""), {name: folder / f"{name}.png" for name in names})

    def make(self, rng):
        text = mutate.of_text(rng, rng.choice(self.seeds))
        (self.folder / "list.txt").write_bytes(text.encode("utf-8", "surrogateescape"))

    def read(self):
        entries = lists.read(self.folder / "list.txt", self.files)
        lists.meant([entry.image for entry in entries], self.files, [self.folder])


class Statistics(Surface):
    """statistics.json."""

    share = 3
    base = {
        "images": 2, "fingerprint": "x", "splits": {"train": 2}, "bands": ["red"], "dtype": "uint8", "mean": [1.0],
        "std": [2.0], "nodata": None, "content": "y", "nodata_rule": "all", "nodata_tags": "both", "odd_files": [],
        "patch": [4, 4], "overlap": 0,
    }  # fmt: skip

    def make(self, rng):
        text = mutate.deep_text(rng) if rng.random() < 0.01 else json.dumps(mutate.of_value(rng, self.base))
        text = mutate.of_text(rng, text, 1) if rng.random() < 0.2 else text
        (self.folder / "statistics.json").write_bytes(text.encode("utf-8", "surrogateescape"))

    def read(self):
        band_statistics.read(self.folder)


class Images(Surface):
    """Image and label files of every format, by their bytes; headers of PNGs with sums that are right."""

    share = 20

    def __init__(self, folder):
        super().__init__(folder)
        self.seeds = pictures(folder)
        self.path, self.window = folder / "picture.png", None

    def make(self, rng):
        data = rng.choice(self.seeds)
        if data.startswith(b"\x89PNG") and rng.random() < 0.5:
            data = _other_header(rng, data)
        else:
            data = mutate.of_bytes(rng, data, self.seeds)
        # GDAL and the decoders keep what they know of a path that they have seen.
        self.path = self.folder / f"{rng.randrange(4)}.png"
        self.path.write_bytes(data)
        self.window = rng.choice((None, Window(-2, 3, 5, 4)))

    def read(self):
        _each(
            lambda: read_image(self.path, SPEC, self.window, "upright"),
            lambda: read_label(self.path, SPEC, self.window),
            lambda: size_of(self.path),
            lambda: palette_of(self.path),
            lambda: place_of(self.path),
        )


class Archives(Surface):
    """Zip and tar files that hold, or say they hold, a data set."""

    share = 10

    def __init__(self, folder):
        super().__init__(folder)
        whole = archive_files.write_files(folder / "whole", archive_files.FILES)
        digests = {name: digest(whole / name) for name in ("train", "trainannot")}
        self.source = Source(archive_files.SPEC, "https://example.org/x.zip", digests)
        makers = (archive_files.make_zip, archive_files.make_tar)
        self.seeds = [make(folder / "seed", archive_files.FILES).read_bytes() for make in makers]
        self.number = 0

    def make(self, rng):
        self.number += 1
        kind = rng.random()
        data = _zip(rng) if kind < 0.3 else _tar(rng) if kind < 0.7 else mutate.of_bytes(rng, rng.choice(self.seeds))
        (self.folder / "archive").write_bytes(data)

    def read(self):
        fetch.fetch(self.source, self.folder / f"target{self.number}", archive=self.folder / "archive")


class Records(Surface):
    """Prepared records: their manifest, or the bytes of a shard."""

    share = 10

    def __init__(self, folder):
        super().__init__(folder)
        dataset = load("synthetic", sizes={"train": 2, "val": 1, "test": 1}, height=32, width=40)
        prepare(dataset, "train", folder, {"name": "synthetic", "options": {}}, encoding=records.ZLIB)
        self.manifest = json.loads((folder / "train.json").read_text())
        self.shard = folder / self.manifest["shards"][0]["file"]
        self.data = self.shard.read_bytes()

    def make(self, rng):
        manifest, data = self.manifest, self.data
        if rng.random() < 0.5:
            manifest = mutate.of_value(rng, manifest)
        else:
            data = self._other_record(rng)
            lengths = len(data) - records.FRAME
            entry = [*manifest["shards"][0]["records"][0]]
            entry[1], entry[2] = lengths, zlib.crc32(data[records.HEAD : records.HEAD + lengths])
            shard = {**manifest["shards"][0], "bytes": len(data), "records": [entry]}
            manifest = {**manifest, "shards": [shard]}
        self.shard.write_bytes(data)
        (self.folder / "train.json").write_text(json.dumps(manifest))

    def _other_record(self, rng):
        first = self.manifest["shards"][0]["records"][0][1]
        return mutate.of_bytes(rng, self.data[: first + records.FRAME])

    def read(self):
        prepared = records.Prepared(self.folder)
        prepared.check_source("synthetic", {}, prepared.spec)
        for sample in prepared.samples("train"):
            prepared.read(sample)


class Checkpoints(Surface):
    """Weights: .npz files by their bytes, and with members of any kind."""

    share = 10

    def __init__(self, folder):
        super().__init__(folder)
        self.file = folder / "weights.npz"
        arrays = {"model/a/kernel": np.ones((3, 2), np.float32), "average/a/kernel": np.zeros((3, 2), np.float32)}
        checkpoints.write(self.file, arrays, {"network": {"name": "did"}, "data": {}})
        self.data = self.file.read_bytes()

    def make(self, rng):
        self.file.write_bytes(mutate.of_bytes(rng, self.data) if rng.random() < 0.6 else self._members(rng))

    def _members(self, rng):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for name in ("model/a/kernel.npy", "identity.npy", rng.choice(mutate.NAMES)):
                archive.writestr(name.replace("\udcff", "\xff").strip("\0") or "x", self._array(rng, name))
        return data.getvalue()

    def _array(self, rng, name):
        if name == "identity.npy" and rng.random() < 0.7:
            value = np.array(json.dumps(mutate.of_value(rng, {"network": {"name": "did"}, "data": {}})))
        else:
            value = rng.choice((np.ones((3, 2), np.float32), np.array(["x", None], object), np.zeros(0), np.array("x")))
        data = io.BytesIO()
        np.save(data, value, allow_pickle=True)
        return mutate.of_bytes(rng, data.getvalue()) if rng.random() < 0.5 else data.getvalue()

    def read(self):
        _each(lambda: weights.identity_of(self.file), lambda: weights.digest(self.file))


class KerasFiles(Surface):
    """Weights in Keras' .h5 files."""

    share = 1

    def __init__(self, folder):
        super().__init__(folder)
        from tensorflow import keras

        image = keras.Input((4, 4, 3))
        self.model = keras.Model(image, keras.layers.Conv2D(2, 1, name="a")(image))
        self.file = folder / "weights.h5"
        with h5py.File(self.file, "w") as file:
            group = file.create_group("a")
            file.attrs["layer_names"] = [b"a"]
            group.attrs["weight_names"] = [b"a/kernel:0", b"a/bias:0"]
            for name, value in zip(("a/kernel:0", "a/bias:0"), self.model.get_weights()):
                group[name] = value
        self.data = self.file.read_bytes()

    def make(self, rng):
        self.file.write_bytes(mutate.of_bytes(rng, self.data))

    def read(self):
        weights.load(self.model, self.file)


class Runs(Surface):
    """The files of a run folder, as tables and reports read them."""

    share = 6
    config = {"dataset": {"name": "synthetic", "val_split": "val"}, "train": {"steps": 20}, "model": {"name": "did"}}
    paper = {"dataset": {"val_split": "val"}, "paper": {"split": "test"}}
    report = {"protocol": {"name": "whole"}, "outputs": {"main": {"miou": 0.5, "classes": {"a": {"iou": None}}}}}
    data = {"split": "train", "samples": 2, "fingerprint": "x", "meaning": "y"}

    def __init__(self, folder):
        super().__init__(folder)
        self.run = RunFolder(folder / "exp", "exp", cli.defaults("did"))
        self.whole = json.loads(json.dumps(cli.load_experiment("did_synthetic").to_dict()))
        facts = {**self.data, "classes": ["a", "b"]}
        validation = {**self.data, "protocol": "whole"}
        self.now = manifest.make(0, ["/device:CPU:0"], facts, validation, None, {"name": "did"}, "float32")

    def make(self, rng):
        files = {
            self.run.config: self.whole if rng.random() < 0.5 else self.config,
            self.run.manifest: {**self.now, "experiment": "exp", "continued": [manifest.continuation(self.now, 5)]},
            self.run.best / "metrics.json": {"step": 10, "miou": 0.5},
            self.run.evaluation / "test.json": self.report,
        }
        chosen = rng.choice([*files, self.run.metrics])
        for path, content in files.items():
            text = json.dumps(mutate.of_value(rng, content) if path == chosen else content)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = mutate.of_text(rng, text, 1) if rng.random() < 0.05 else text
            text = mutate.deep_text(rng) if path == chosen and rng.random() < 0.01 else text
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        rows = "step,loss,val_miou\n10,0.5,0.4\n20,0.4,0.5\n"
        rows = mutate.of_text(rng, rows) if chosen == self.run.metrics else rows
        self.run.metrics.write_bytes(rows.encode("utf-8", "surrogateescape"))

    def read(self):
        _each(
            lambda: results.best("exp", self.paper, results.MIOU, self.folder),
            lambda: selection.of_run(self.run),
            lambda: selection.last_scores(self.run),
            lambda: read_metrics(self.run.metrics),
            lambda: cli.resolve("did_synthetic", self.run, [], training=False),
            lambda: self.run.check(self.whole, self.now),
        )


class Annotations(Surface):
    """Annotations of published data sets: COCO's JSON, SBD's MATLAB files, KITTI's calibration."""

    share = 4

    def __init__(self, folder):
        super().__init__(folder)
        from scipy.io import savemat

        names = pascal_voc.CLASSES[1:]
        renamed = {new: old for old, new in coco_for_voc.RENAMED.items()}
        self.coco = {
            "categories": [{"id": n, "name": renamed.get(name, name)} for n, name in enumerate(names)],
            "images": [{"id": 1, "file_name": "a.jpg", "height": 8, "width": 9}],
            "annotations": [
                {"id": 5, "image_id": 1, "category_id": 2, "area": 9.0, "iscrowd": 0,
                 "segmentation": [[1, 1, 5, 1, 5, 6]]},
                {"id": 6, "image_id": 1, "category_id": 3, "area": 9.0, "iscrowd": 1,
                 "segmentation": {"size": [8, 9], "counts": [10, 20, 42]}},
                {"id": 7, "image_id": 1, "category_id": 3, "area": 9.0, "iscrowd": 1,
                 "segmentation": {"size": [8, 9], "counts": "X2"}},
            ],
        }  # fmt: skip
        data = io.BytesIO()
        savemat(data, {"GTcls": {"Segmentation": np.ones((8, 9), np.uint8)}}, do_compression=True)
        self.mat = data.getvalue()
        rows = (("P2", 12), ("R0_rect", 9), ("Tr_cam_to_road", 12))
        self.calibration = "".join(f"{name}: {' '.join(map(str, range(1, count + 1)))}\n" for name, count in rows)

    def make(self, rng):
        (self.folder / "coco.json").write_text(json.dumps(mutate.of_value(rng, self.coco)))
        (self.folder / "a.mat").write_bytes(mutate.of_bytes(rng, self.mat))
        (self.folder / "a.txt").write_bytes(mutate.of_text(rng, self.calibration).encode("utf-8", "surrogateescape"))

    def read(self):
        _each(
            self._coco,
            lambda: pascal_voc.read_sbd(self.folder / "a.mat"),
            lambda: read_calibration(self.folder / "a.txt"),
        )

    def _coco(self):
        for picture in coco_for_voc.read_annotations(self.folder / "coco.json").values():
            label = np.zeros((8, 9), np.uint8)
            for region in picture.regions:
                try:
                    coco_for_voc.draw(region, label)
                except (OverflowError, TypeError, ValueError) as error:  # as `CocoForVOC` does
                    raise DataError(str(error)) from None


SURFACES = (
    Overrides, DatasetYaml, DatasetJson, OwnData, Lists, Statistics, Images, Archives, Records, Checkpoints, KerasFiles,
    Runs, Annotations,
)  # fmt: skip


def pictures(folder):
    """A small file of each format and kind."""
    rng = np.random.default_rng(0)
    rgb, grey, deep = (rng.integers(0, high, shape).astype(kind) for high, shape, kind in (
        (256, (9, 7, 3), np.uint8), (3, (9, 7), np.uint8), (60000, (9, 7), np.uint16)))  # fmt: skip
    found = [
        cv2.imencode(ending, pixels)[1].tobytes()
        for ending in (".png", ".jpg", ".bmp", ".webp", ".tif")
        for pixels in (rgb, grey)
    ]
    found += [cv2.imencode(ending, pixels)[1].tobytes() for ending, pixels in ((".ppm", rgb), (".pgm", grey))]
    found.append(cv2.imencode(".png", deep)[1].tobytes())
    for mode, kind, options in (("P", "PNG", {"bits": 4}), ("P", "GIF", {}), ("LA", "PNG", {}), ("CMYK", "JPEG", {})):
        data = io.BytesIO()
        Image.fromarray(rgb).convert(mode).save(data, kind, **options)
        found.append(data.getvalue())
    for array in (rgb, grey, deep.astype(np.float32)):
        data = io.BytesIO()
        np.save(data, array)
        found.append(data.getvalue())
    for options in ({"compress": "deflate"}, {"tiled": True, "blockxsize": 16, "blockysize": 16, "nodata": 0}):
        path = folder / "seed.tif"
        with rasterio.open(path, "w", driver="GTiff", height=9, width=7, count=3, dtype="uint8", **options) as file:
            file.write(np.moveaxis(rgb, -1, 0))
        found.append(path.read_bytes())
    found.append(b"P3\n2 2\n255\n" + b"1 2 3 " * 4)
    found.append(b"P2 # x\n2 2\n7\n1 2 3 4")
    return found


def _other_header(rng, data):
    """A PNG of another size, depth or kind, with the right sum: its decoder believes it."""
    header = bytearray(data[16:29])
    place, size = rng.choice(((0, 4), (4, 4), (8, 1), (9, 1), (12, 1)))
    number = rng.choice(mutate.INTEGERS) & (2 ** (8 * size) - 1)
    header[place : place + size] = number.to_bytes(size, "big")
    body = b"IHDR" + bytes(header)
    return data[:12] + body + zlib.crc32(body).to_bytes(4, "big") + data[33:]


def _name(rng):
    folder = rng.choice(("train", "trainannot", "x/train", *mutate.NAMES))
    return rng.choice((f"{folder}/{rng.choice(mutate.NAMES)}", f"{folder}/a.png", rng.choice(mutate.NAMES)))


def _zip(rng):
    data = io.BytesIO()
    with zipfile.ZipFile(
        data, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    ) as archive:
        for name in _members(rng):
            info = zipfile.ZipInfo(name.encode("utf-8", "replace").decode())
            info.external_attr = rng.choice((0, 0, 0, 0o120777 << 16, 0o010777 << 16, 0o100644 << 16))
            archive.writestr(info, b"image a" * rng.choice((1, 1, 1000)))
    return data.getvalue() if rng.random() < 0.8 else mutate.of_bytes(rng, data.getvalue())


def _tar(rng):
    data = io.BytesIO()
    kind = rng.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    kinds = (tarfile.REGTYPE,) * 6 + (
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        tarfile.DIRTYPE,
    )
    with tarfile.open(fileobj=data, mode=rng.choice(("w", "w:gz", "w:bz2", "w:xz")), format=kind) as archive:
        for name in _members(rng):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = rng.choice(kinds), rng.choice(mutate.NAMES)
            info.size = 7 if info.type == tarfile.REGTYPE else 0
            if kind == tarfile.PAX_FORMAT:
                info.pax_headers = {"size": str(rng.choice((7, 7, -1, 2**62)))} if rng.random() < 0.2 else {}
            try:
                archive.addfile(info, io.BytesIO(b"image a"))
            except (ValueError, UnicodeError):  # this format has no room for such a name
                continue
    return data.getvalue() if rng.random() < 0.8 else mutate.of_bytes(rng, data.getvalue())


def _members(rng):
    names = [f"CamVid/{name}" for name in archive_files.FILES] if rng.random() < 0.5 else []
    names += [_name(rng) for _ in range(rng.randint(0, 4))]
    return names


def _each(*readers):
    """Calls all, and raises what the last of those that refuse the input says."""
    refusals = []
    for reader in readers:
        try:
            reader()
        except EXPECTED as error:
            refusals.append(error)
    if refusals:
        raise max(refusals, key=lambda error: "\n" in str(error))
