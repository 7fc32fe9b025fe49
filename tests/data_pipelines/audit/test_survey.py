"""Every image is looked at once, of any kind, and nothing of it is kept."""

import dataclasses
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import numpy as np
import pytest
from folders import write_image
from in_memory import InMemory, halves, noise, pairs

from data_pipelines import IGNORE, Dataset, DatasetSpec, Sample
from data_pipelines.audit.decoder import complaints
from data_pipelines.audit.survey import survey
from data_pipelines.datasets.files import FileDataset
from data_pipelines.pipeline import Loader
from data_pipelines.spec import AbsentSplit, Window


def test_facts_of_every_image():
    flat = np.full((24, 32, 3), 7, np.uint8), halves()
    void = noise(1, (10, 20)), np.full((10, 20), IGNORE, np.uint8)
    third = noise(2), halves(first=IGNORE)
    found = survey(InMemory({"train": [flat, void, "cannot decode x", third]}), "train")
    assert (found.found, found.expected, found.labelled) == (4, 4, True)
    assert found.problems == ["cannot decode x"]
    assert found.shapes.tolist() == [[24, 32], [10, 20], [0, 0], [24, 32]]
    assert found.sizes == {(24, 32): 2, (10, 20): 1}
    assert found.readable.tolist() == [True, True, False, True]
    np.testing.assert_array_equal(found.void, [0, 1, np.nan, 0.5])
    assert found.counts.pixels.tolist() == [12 * 32, 2 * 12 * 32] and found.counts.void == 200 + 12 * 32
    np.testing.assert_allclose(found.contrast[[0, 3]], [0, noise(2).std(axis=(0, 1)).max() / 50], rtol=1e-5)
    assert found.prints.known.tolist() == [False, True, False, True]


@pytest.mark.parametrize("dtype, scale", [("uint16", 200), ("float32", 1e-4)])
@pytest.mark.parametrize("bands", [1, 5])
def test_images_of_any_kind(dtype, scale, bands):
    options = {"dtype": dtype, "mean": (0.0,) * bands, "std": (50.0 * scale,) * bands, "band_names": ()}
    content = [((noise(seed, bands=bands) * np.float64(scale)).astype(dtype), halves()) for seed in (0, 1, 0)]
    found = survey(InMemory({"train": content}, **options), "train")
    assert found.problems == [] and found.sizes == {(24, 32): 3}
    assert (found.prints.digests[0] == found.prints.digests[2]).all()
    expected = [image.std(axis=(0, 1), dtype=np.float64).max() / (50 * scale) for image, _ in content]
    np.testing.assert_allclose(found.contrast, expected, rtol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_a_problem(value):
    image = noise(0).astype(np.float32)
    image[3, 4, 1] = value
    found = survey(InMemory({"train": [(image, halves())]}, dtype="float32"), "train")
    assert found.problems == ["train_0: the image holds values that are infinite or no numbers (NaN)"]
    assert not found.readable.any() and not found.counts.pixels.any()


@pytest.mark.parametrize(
    "image, label, problem",
    [
        (noise(0, bands=1), halves(), "image (24, 32, 1) of uint8 where 3 bands of uint8 were expected"),
        (noise(0).astype(np.uint16), halves(), "image (24, 32, 3) of uint16 where 3 bands of uint8 were expected"),
        (noise(0)[..., 0], halves(), "image (24, 32) of uint8 where 3 bands of uint8 were expected"),
        (noise(0), halves((24, 33)), "image (24, 32, 3) does not fit label (24, 33)"),
        (noise(0), halves(first=2, second=254), "unknown class ids [2, 254]"),
    ],
)
def test_readers_that_break_their_promise_are_found(image, label, problem):
    found = survey(InMemory({"train": [*pairs(1), (image, label)]}), "train")
    assert found.problems == [f"train_1: {problem}"]
    assert found.sizes == {(24, 32): 1}


@pytest.mark.parametrize(
    "class_id, problems", [(1, []), (2, ["unknown class ids [2]"]), (255, ["unknown class ids [255]"])]
)
def test_a_class_for_the_whole_image(class_id, problems):
    content = [(noise(0), np.int32(0)), (noise(1), np.array(class_id, np.int32))]
    options = {"task": "classification", "palette": ()}
    found = survey(InMemory({"train": content}, **options), "train")
    assert found.problems == [f"train_1: {problem}" for problem in problems]
    assert found.counts.pixels.tolist() == [1, int(class_id == 1)] and np.isnan(found.void).all()


def test_names_that_are_there_twice():
    names = {"train": ["x", "y", "x", "z", "x"]}
    assert survey(InMemory({"train": pairs(5)}, names), "train").problems == ["train has sample x 3 times"]


def test_images_without_labels_are_read_alone():
    class Unlabelled(InMemory):
        def read_image(self, sample):
            return self.pairs["test"][int(sample.name[-1])][0]

        def read(self, sample):
            raise AssertionError("there is no label to read")

    found = survey(Unlabelled({"test": [(noise(0), None), (noise(1), None)]}), "test")
    assert not found.labelled and found.problems == [] and found.sizes == {(24, 32): 2}
    assert found.prints.known.all() and not found.counts.pixels.any()


def test_a_split_that_has_not_even_images_is_absent():
    class Nothing(Dataset):
        spec = InMemory({"test": []}).spec

        def samples(self, split):
            raise AbsentSplit("nothing there")

        def read(self, sample):
            raise AssertionError

    with pytest.raises(AbsentSplit, match="nothing there"):
        survey(Nothing(), "test")


class Tiles(FileDataset):
    """Images cut into four windows each."""

    spec = DatasetSpec("tiles", ("a", "b"), ((0, 0, 0), (9, 9, 9)), {"train": 12}, mean=(99.0,) * 3, std=(50.0,) * 3)
    title = layout = "tiles"
    reads = ()
    rows = (0, 12)

    def places(self, split):
        return [self.folder / "images", self.folder / "labels"]

    def listing(self, split):
        images, labels = self.places(split)
        return [
            Sample(f"{path.stem}_{top}_{left}", path, labels / path.name, window=Window(top, left, 12, 16))
            for path in sorted(images.iterdir())
            for top in self.rows
            for left in (0, 16)
        ]

    def read(self, sample):
        self.reads = (*self.reads, sample.name)
        return super().read(sample)


def test_images_are_read_once_however_they_are_cut(tmp_path):
    for number in range(3):
        write_image(tmp_path / "images" / f"{number}.png", noise(number))
        write_image(tmp_path / "labels" / f"{number}.png", halves())
    dataset = Tiles(tmp_path)
    found = survey(dataset, "train")
    assert sorted(dataset.reads) == ["0", "1", "2"]
    assert (found.found, len(found.images), found.problems) == (12, 3, [])
    assert found.sizes == {(24, 32): 3} and found.counts.pixels.tolist() == [3 * 12 * 32] * 2
    # Published may be the number of windows, or that of images.
    for expected, problems in ((3, []), (4, ["train has 3 samples, expected 4"])):
        dataset.spec = dataclasses.replace(dataset.spec, splits={"train": expected})
        assert survey(dataset, "train").problems == problems


def test_classes_are_counted_in_windows_as_training_counts_them(tmp_path):
    """Of windows that overlap twice, and what lies beyond the image as void."""
    for number in range(2):
        label = np.zeros((24, 32), np.uint8)
        label[:4, :5] = number
        write_image(tmp_path / "images" / f"{number}.png", noise(number))
        write_image(tmp_path / "labels" / f"{number}.png", label)
    dataset = Tiles(tmp_path)
    dataset.rows = (0, 8, 16)
    found, learnt = survey(dataset, "train"), Loader(dataset, "train", progress=False).class_counts()
    assert found.counts.pixels.tolist() == [2 * 24 * 32 - 20, 20] and found.counts.around.tolist()[1] == 24 * 32
    for key in ("pixels", "images", "around", "void"):
        np.testing.assert_array_equal(getattr(found.of_samples, key), getattr(learnt, key))
    assert learnt.around.tolist()[1] == 12 * 16 and learnt.void == 2 * 2 * 4 * 16


def test_images_are_not_kept_and_few_are_under_way(monkeypatch):
    """What is alive at a time is bounded, also where one image takes much longer than those after it."""
    monkeypatch.setattr("data_pipelines.audit.survey.MAX_THREADS", 2)
    lock, alive, most = threading.Lock(), set(), []

    class Watched(InMemory):
        started = 0

        def read(self, sample):
            image, label = super().read(sample)
            number = int(sample.name.rpartition("_")[2])
            with lock:
                self.started += 1
                alive.add(number)
                most.append((len(alive), self.started))
            weakref.finalize(image, alive.discard, number)
            if number == 0:
                time.sleep(0.3)
                self.started_meanwhile = self.started
            return image, label

    dataset = Watched({"train": pairs(60)})
    found = survey(dataset, "train")
    assert found.readable.all()
    assert max(count for count, _ in most) <= 4
    assert dataset.started_meanwhile <= 6


def test_threads_are_as_many_as_cores_that_the_process_may_use(monkeypatch):
    """A job of one core on a machine of many, as in a cluster."""
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {5}, raising=False)
    pool = Mock(wraps=ThreadPoolExecutor)
    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", pool)
    survey(InMemory({"train": pairs(2)}), "train")
    complaints([])
    assert [call.args for call in pool.call_args_list] == [(1,), (1,)]


def test_order_is_that_of_the_samples():
    class Slow(InMemory):
        def read(self, sample):
            time.sleep(0.02 if sample.name.endswith(("0", "3")) else 0)
            return super().read(sample)

    content = [(noise(number, (number + 8, 16)), halves((number + 8, 16))) for number in range(12)]
    assert survey(Slow({"train": content}), "train").shapes[:, 0].tolist() == list(range(8, 20))
