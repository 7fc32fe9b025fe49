"""Writing a folder of results: nothing is labelled twice, nothing wrong is packed."""

import json
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from data_pipelines import DataError
from data_pipelines.spec import Sample
from did_tf.common.errors import ConfigError, NotFinite
from did_tf.common.files import write_file
from did_tf.scoring import official
from did_tf.scoring.official import submission

SETTINGS = {"weights": "best.npz"}


class Images:
    """Three images of different sizes, in two towns."""

    def images(self, split):
        return [Sample(f"{split}/{name}") for name in "abc"]

    def read_image(self, sample):
        return np.full((4, 3 + "abc".index(sample.name[-1]), 3), ord(sample.name[-1]), np.uint8)


class Text(official.Benchmark):
    """Takes a text with the size and the mean of the probabilities."""

    title = "Text"

    def update(self, sample, label, probabilities):
        raise NotImplementedError

    scores = table = update

    def place(self, sample, split="test"):
        return f"results/{sample.name.replace('/', '_')}.txt"

    def write(self, path, probabilities, sample):
        write_file(path, f"{probabilities.shape[:2]} {probabilities.mean():.0f} {sample.name}".encode())

    def check(self, path, size):
        if not path.read_text().startswith(str(size)):
            raise DataError(f"{path} is not of the size {size}")


class Predictor:
    """The image's values as probabilities; notes what it is given. Fails at the image `stop`."""

    def __init__(self, stop=None):
        self.seen, self.stop = [], stop

    def __call__(self, image):
        letter = chr(image[0, 0, 0])
        if letter == self.stop:
            raise KeyboardInterrupt
        self.seen.append(letter)
        return {"main": image.astype(np.float32)}


def write(folder, predictor, settings=SETTINGS, benchmark=Text, engine="abacus"):
    return submission.write(benchmark(Images()), predictor, "test", folder, settings, False, engine=lambda: engine)


CONTENTS = {f"results/test_{x}.txt": f"(4, {3 + i}) {ord(x)} test/{x}" for i, x in enumerate("abc")}


def test_all_images_are_packed(tmp_path):
    count, packed = write(tmp_path / "test", Predictor())
    assert count == 3
    with zipfile.ZipFile(packed) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == CONTENTS


def test_tar_files_are_packed_too(tmp_path):
    class Tar(Text):
        archive = "tar.gz"

    _, packed = write(tmp_path / "test", Predictor(), benchmark=Tar)
    assert packed == tmp_path / "test.tar.gz"
    with tarfile.open(packed, "r:gz") as archive:
        assert {member.name: archive.extractfile(member).read().decode() for member in archive} == CONTENTS


def test_it_goes_on_where_it_was_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "test", Predictor(stop="c"))
    assert not (tmp_path / "test.zip").exists()
    predictor = Predictor()
    for engine in ("fingers", "nothing, for all is done"):
        assert write(tmp_path / "test", predictor, engine=engine)[0] == 3
    assert predictor.seen == ["c"]
    assert json.loads((tmp_path / "test.json").read_text()) == {**SETTINGS, "engines": ["abacus", "fingers"]}


def test_results_of_other_weights_are_not_mixed_in(tmp_path):
    write(tmp_path / "test", Predictor())
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"holds results of other weights or settings \(see .*test.json\)"):
            write(tmp_path / "test", Predictor(), {"weights": "other.npz"})
        (tmp_path / "test.json").unlink(missing_ok=True)  # then nobody knows what they are of
    shutil.rmtree(tmp_path / "test")
    assert write(tmp_path / "test", Predictor(), {"weights": "other.npz"})[0] == 3


def test_a_packed_file_of_before_does_not_outlive_a_run_that_is_stopped(tmp_path):
    write(tmp_path / "test", Predictor())
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "test", Predictor(stop="b"), {"weights": "other.npz"})
    assert not (tmp_path / "test.zip").exists()


def test_stopped_while_packing_there_is_no_packed_file(tmp_path, monkeypatch):
    add = zipfile.ZipFile.write

    def stop(archive, path, name):
        add(archive, path, name)
        if name.endswith("b.txt"):
            raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "test", Predictor())
    assert {path.name for path in tmp_path.iterdir()} == {"test", "test.json"}


def test_a_damaged_result_is_named(tmp_path):
    write(tmp_path / "test", Predictor())
    (tmp_path / "test" / "results" / "test_b.txt").write_text("(9, 9)")
    with pytest.raises(DataError, match=r"test_b.txt is not of the size \(4, 4\); delete it, and the same command"):
        write(tmp_path / "test", Predictor())


def test_what_is_no_result_is_not_packed(tmp_path):
    results = tmp_path / "test" / "results"
    results.mkdir(parents=True)
    (results / "val_a.txt").write_text("of another split")
    (results / ".test_a.txt.123").write_text("half of a file, of a run that was killed")
    _, packed = write(tmp_path / "test", Predictor())
    assert set(zipfile.ZipFile(packed).namelist()) == set(CONTENTS)


def test_there_is_a_benchmark_for_its_data_sets_alone():
    assert official.find("camvid") is None
    for name in official.names():
        assert issubclass(official.find(name), official.Benchmark)


def test_a_network_that_gives_no_numbers_is_told(tmp_path):
    def ruined(image):
        raise NotFinite("the network's output main is not finite: its training went wrong")

    with pytest.raises(NotFinite, match="test/a: the network's output main is not finite: its training went wrong"):
        write(tmp_path / "test", ruined)
    assert not list(tmp_path.rglob("*.txt"))
