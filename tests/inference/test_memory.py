import numpy as np
import pytest
import tensorflow as tf
from in_memory import InMemory
from tensorflow import keras

import data_pipelines
from benchmarks import predicting
from data_pipelines import memory as machine
from data_pipelines.spec import DataError, Sample, Window
from did_tf import models
from did_tf.common import visualize
from did_tf.inference import memory
from did_tf.inference.memory import IN_TILES, Fitting, Need, most_in_graph, sizes_of
from did_tf.inference.predictor import Predictor
from did_tf.models.layers import Normalize


def network(channels=10):
    """Of which the layers' sizes are known: 3 bands, `channels`, `channels`, 2 classes."""
    image = keras.Input((None, None, 3))
    x = Normalize((9.0,) * 3, (2.0,) * 3, name="normalize")(image)
    for _ in range(2):
        x = keras.layers.Conv2D(channels, 3, padding="same")(x)
    return keras.Model(image, {"main": keras.layers.Conv2D(2, 1)(x)})


def graph(function, shape):
    found = tf.function(function).get_concrete_function(tf.TensorSpec(shape))
    return found.graph, list(found.outputs)


# What is there at once


def test_what_nobody_needs_any_more_is_given_up():
    def chain(x):
        for _ in range(5):
            x = tf.nn.avg_pool2d(x, 3, 1, "SAME")
        return x

    assert most_in_graph(*graph(chain, (1, 10, 10, 4))) == 2 * 1600


def test_what_is_needed_later_is_kept():
    def dense(x):
        a = tf.nn.avg_pool2d(x, 3, 1, "SAME")
        b = tf.nn.avg_pool2d(a, 3, 1, "SAME")
        c = tf.nn.avg_pool2d(b, 3, 1, "SAME")
        return tf.concat([a, b, c], -1)

    assert most_in_graph(*graph(dense, (1, 10, 10, 4))) == 6 * 1600


def test_some_operations_take_the_place_of_what_they_are_given():
    assert most_in_graph(*graph(lambda x: tf.nn.relu(tf.nn.avg_pool2d(x, 3, 1, "SAME")), (1, 10, 10, 4))) == 1600


def test_results_are_kept_to_the_end():
    def several(x):
        first = tf.nn.avg_pool2d(x, 3, 1, "SAME")
        second = tf.nn.avg_pool2d(x, 5, 1, "SAME")
        return first, second, tf.nn.avg_pool2d(x, 7, 1, "SAME")

    assert most_in_graph(*graph(several, (1, 10, 10, 4))) == 3 * 1600


# What a predictor needs


@pytest.mark.parametrize("onednn, spare", [(False, memory.SPARE), (True, memory.SPARE_ONEDNN)])
def test_a_whole_image_needs_as_much_as_its_widest_layers(onednn, spare, monkeypatch):
    monkeypatch.setattr(memory.processor, "has_onednn", lambda: onednn)
    few, many = (Need(Predictor(network(channels)), False)((1000, 1000), 1) for channels in (50, 100))
    assert many - few == pytest.approx(spare * 1e6 * 2 * 50 * 4)


def test_tiles_need_what_a_few_tiles_and_a_strip_do():
    whole, tiles = Need(Predictor(network()), False), Need(Predictor(network(), 65), False)
    assert tiles((4200, 4200), 1) < whole((4200, 4200), 1) / 2
    assert tiles((8400, 4200), 1) - tiles((4200, 4200), 1) < 4200 * 4200 * 30, "no probabilities of the whole"
    assert Need(Predictor(network(), 65), True)((4200, 4200), 1) > tiles((4200, 4200), 1)


def test_scales_and_mirrors_need_more():
    plain, scaled, flipped = (
        Need(Predictor(network(), 65, **options), False).in_rows((2000, 2000), 1)
        for options in ({}, {"scales": (1.0, 1.5)}, {"flip": True, "scales": (1.0, 1.5)})
    )
    assert plain < scaled < flipped


def test_rows_need_as_much_as_the_image_is_wide():
    need = Need(Predictor(network(), 65, scales=(0.5, 1.5)), False)
    assert need.in_rows((10**6, 2000), 1) == need.in_rows((10**4, 2000), 1) < need((10**4, 2000), 1) / 2
    per_column = need.in_rows((1000, 20000), 1) - need.in_rows((1000, 10000), 1)
    assert per_column == pytest.approx(need.in_rows((1000, 30000), 1) - need.in_rows((1000, 20000), 1))
    assert per_column > 65 * 2 * 4 * 2 * 10000


@pytest.mark.parametrize("flip", [False, True])
def test_whole_images_at_scales_need_what_the_largest_of_these_does(flip):
    """1.25 times the side is 1.5625 times the pixels in the network; small scales beside it need nothing."""
    at = {
        scales: Need(Predictor(network(50), scales=scales, flip=flip), False)((1000, 1000), 1)
        for scales in ((1.0,), (1.25,), (0.5, 1.25), (0.5, 0.75, 1.0, 2.5))
    }
    assert at[1.25,] == at[0.5, 1.25]
    in_network = Need(Predictor(network(50)), False)._per_pixel
    assert at[1.25,] - at[1.0,] >= 0.5625e6 * in_network
    assert at[0.5, 0.75, 1.0, 2.5] - at[1.25,] >= (2.5**2 - 1.25**2) * 1e6 * in_network


@pytest.mark.parametrize(
    "name", ["did", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ladder", "fcrn", "duc", "sunet"))]
)
def test_no_network_takes_more_than_the_rough_bound(name):
    predictor = Predictor(models.build(name, 21))
    per_pixel = (Need(predictor, True)((2000, 2000), 4) - memory.FIXED) / 2000**2
    assert 100 < per_pixel < memory.ROUGH


# What is chosen


@pytest.fixture
def fitting(monkeypatch):
    """A function of free bytes that gives the `Fitting` of whole images of the network above."""

    monkeypatch.setattr(memory.processor, "has_onednn", lambda: False)

    def make(free, protocol="whole", beside=None):
        monkeypatch.setattr(memory, "free_memory", lambda: free)
        made = {"whole": Predictor(network()), "scales": Predictor(network(), scales=(1.0, 1.5))}
        made[IN_TILES] = Predictor(network(), 65)
        return Fitting(made.__getitem__, protocol, 1, keep_all=False, beside=beside)

    return make


SIZES = {"small": (400, 400), "large": (6000, 6000), "medium": (1000, 1000)}


def test_what_fits_is_taken_whole_without_a_word(fitting, capsys):
    assert fitting(1e12).each(SIZES) == dict.fromkeys(SIZES, "whole")
    assert fitting(1e12, "scales").all(SIZES) == "scales"
    assert capsys.readouterr().err == ""


def test_what_does_not_fit_is_taken_in_tiles_and_told(fitting, capsys):
    chosen = fitting(3e9).each(SIZES)
    assert chosen == {"small": "whole", "large": IN_TILES, "medium": "whole"}
    told = capsys.readouterr().err
    assert "large (6000x6000) would take " in told and " GB of memory by protocol whole, and 3.0 GB are free: " in told
    assert "1 of 3 images go through the network in tiles of 65x65 (protocol tiles_once)" in told


@pytest.mark.parametrize("protocol", ["whole", "scales"])
def test_scores_are_of_one_protocol(protocol, fitting, capsys):
    assert fitting(1.5e9, protocol).all(SIZES) == IN_TILES
    told = capsys.readouterr().err
    assert f"by protocol {protocol}, and" in told and "all images go through the network in tiles of 65x65" in told


def test_what_fits_in_no_way_is_refused(fitting):
    assert fitting(4e8).each(SIZES) == {"small": "whole", "large": "", "medium": IN_TILES}
    with pytest.raises(
        DataError, match=r"large \(6000x6000\) would take .* by protocol tiles_once, .* are free: .* TIFF in tiles"
    ):
        fitting(4e8).all(SIZES)


def test_what_a_crf_takes_is_counted(fitting, capsys):
    def crf(size):
        return 2.8e9 if size == (1000, 1000) else 0.0

    medium = {"medium": SIZES["medium"]}
    assert fitting(3.2e9).each(medium) == {"medium": "whole"}
    assert fitting(3.2e9, beside=crf).each(medium) == {"medium": IN_TILES}
    assert "medium (1000x1000) would take 3." in capsys.readouterr().err
    assert fitting(2.9e9, beside=crf).each(SIZES) == {"small": "whole", "large": IN_TILES, "medium": ""}


def test_a_network_is_looked_at_once_and_only_where_it_matters(fitting, monkeypatch):
    looked = []
    monkeypatch.setattr(memory, "most_in_graph", lambda *graph: looked.append(graph) or 0)
    fitting(1e12).each(SIZES)
    assert not looked
    fitting(3e9).each({**SIZES, "larger": (6100, 6000)})
    assert len(looked) == 1


def test_no_images(fitting):
    assert fitting(0).all({}) == "whole"


# Sizes


def test_sizes_are_of_headers_windows_and_what_is_drawn(tmp_path):
    visualize.save_png(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "damaged.png").write_bytes(b"no image")
    files = [Sample("a", tmp_path / "a.png"), Sample("b", tmp_path / "damaged.png")]
    windows = [Sample("c", tmp_path / "a.png", window=Window(0, 0, 7, 9))]
    drawn = InMemory({"val": [(np.zeros((5, 6, 3), np.uint8), np.zeros((5, 6), np.uint8))]})
    assert sizes_of(drawn, [*files, *windows]) == {"a": (20, 30), "c": (7, 9)}
    assert sizes_of(drawn, drawn.samples("val")) == {"val_0": (5, 6)}


def test_frames_at_half_size_take_no_more_than_that(tmp_path):
    visualize.save_png(tmp_path / "leftImg8bit" / "a.png", np.zeros((1024, 2048, 3), np.uint8))
    (tmp_path / "gtFine").mkdir()
    for half, size in ((True, (448, 1024)), (False, (1024, 2048))):
        dataset = data_pipelines.load("cityscapes", tmp_path, half=half)
        assert sizes_of(dataset, [Sample("a", tmp_path / "leftImg8bit" / "a.png")]) == {"a": size}


# The limit of users


def test_a_limit_of_the_environment_counts_what_is_taken(monkeypatch):
    monkeypatch.setattr(machine.psutil.Process, "memory_info", lambda self: type("Info", (), {"rss": 2**30})())
    monkeypatch.setenv(machine.LIMIT, "1.5")
    assert machine.free_memory() == 2**29
    monkeypatch.setenv(machine.LIMIT, "0.5")
    assert machine.free_memory() == 0
    for none in ("much", "nan", "-1", "0"):
        monkeypatch.setenv(machine.LIMIT, none)
        with pytest.raises(DataError, match=f"DID_TF_MEMORY={none}: it must be a number of GiB, more than 0$"):
            machine.free_memory()


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [("did", 1537, "whole"), ("did", 1025, "scales"), ("did", 2049, "tiles_once"), ("ladder", 1025, "whole")],
)
def test_the_estimate_is_above_what_is_measured_and_not_far(case):
    estimated, measured = predicting.measure(*case)
    assert measured < estimated < 2.5 * measured + memory.FIXED / 1e9
