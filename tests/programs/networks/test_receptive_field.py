"""`make receptive-field`: what it prints, the pictures it writes, and the errors of its users."""

import cv2
import numpy as np
import program
import pytest
import tiny

from did_tf import wiring
from did_tf.analysis import gridding, measures
from did_tf.programs.networks import receptive_field

SMALL = [f"--config.{key}={value}" for key, value in tiny.OVERRIDES.items() if key.startswith(("model", "data."))]
SMALL = [override.replace(" ", "") for override in SMALL]


def dark_blue(path):
    """Share of a picture's pixels that have the colour of a reached place."""
    picture = cv2.imread(str(path))[..., ::-1].astype(int)
    return np.mean((picture[..., 2] - picture[..., 0] > 100) & (picture[..., 2] > 150))


def test_a_network_with_random_weights(monkeypatch, capsys, tmp_path):
    arguments = ("--experiment=did_synthetic", f"--run={tmp_path}", "--images=2", *SMALL)
    assert program.run(monkeypatch, receptive_field, *arguments) == 0
    config = tiny.config()
    model = wiring.make_model(config, wiring.make_dataset(config).spec)
    side, _ = measures.receptive_field(model)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "did_synthetic, centre of output 'main'"
    assert lines[1] == f"theoretical receptive field: {side}x{side}, 100.0 % of it reached"
    assert lines[2].startswith("measured, random weights, 2 images of synthetic val of 33x33: ")
    assert lines[2].endswith(" pixels hold 95 % of the gradient")
    assert (
        lines[3]
        == "block3: dilation 2: M2 = 2 <= kernel 3, common factor 2; field + 4, 36.0 % of it reached by these alone"
    )
    assert lines[4].startswith("block4: dilation 4: M2 = 4 > kernel 3, common factor 4; field + 8, 11.1 %")
    assert lines[5] == f"picture: {tmp_path / 'receptive_field.png'}"
    height, width, _ = cv2.imread(str(tmp_path / "receptive_field.png")).shape
    assert width > 3 * height, "four panels: reach, gradient and two stages"


def test_the_weights_and_settings_of_a_run_are_used(monkeypatch, capsys, tmp_path):
    """A network of kernels that are zero but in their middle, so that pooling alone spreads the gradient.

    By 1 place of stride 2 to either side, and 1 of stride 4 and of stride 8 to one side.
    """
    config = tiny.config(model__decoder="plain", model__deep_supervision=False)
    model = wiring.make_model(config, wiring.make_dataset(config).spec)
    for layer in model.layers:
        for v in layer.weights:
            if len(v.shape) == 4:
                kernel = np.zeros(v.shape)
                kernel[v.shape[0] // 2, v.shape[1] // 2] = 1
                v.assign(kernel)
    tiny.save_run(tmp_path, config, model)
    arguments = ("--experiment=did_synthetic", f"--run={tmp_path}", "--images=1", "--side=65")
    assert program.run(monkeypatch, receptive_field, *arguments) == 0
    measured = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("measured"))
    assert measured.startswith("measured, trained weights, 1 images of synthetic val of 65x65: ")
    assert int(measured.split(": ")[1].split(" ")[0]) == 2 * (2 + 4 + 8) + 1


def test_without_data_there_is_noise_unless_data_were_asked_for(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = ("--experiment=did_camvid_quick", "--images=1", *SMALL)
    assert program.run(monkeypatch, receptive_field, *arguments) == 0
    assert "1 images of noise (no data found) of 33x33" in capsys.readouterr().out
    assert (tmp_path / "runs" / "did_camvid_quick" / "receptive_field.png").is_file()
    assert program.run(monkeypatch, receptive_field, *arguments, f"--data={tmp_path}") == 2
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("rates", [(1, 2, 5, 9), (2, 2, 2), (5, 9, 17)])
def test_rates_need_no_experiment(monkeypatch, capsys, tmp_path, rates):
    assert program.run(monkeypatch, receptive_field, f"--rates={','.join(map(str, rates))}", f"--run={tmp_path}") == 0
    report, path = gridding.check(rates), tmp_path / f"coverage_{'_'.join(map(str, rates))}.png"
    first, second = capsys.readouterr().out.splitlines()
    sign = "<=" if report.passes else ">"
    assert f"M2{' of a group' * (rates == (2, 2, 2))} = {report.max_distance} {sign} kernel 3" in first
    assert f"field + {report.increase}, {100 * report.covered:.1f} %" in first
    assert second == f"picture: {path}"
    # The map takes some five sixths of the picture.
    assert 0.7 * report.covered < dark_blue(path) < 0.95 * report.covered + 0.05


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "no experiment given"),
        (["--rates=1,x"], "--rates takes whole numbers such as 1,2,5, got '1,x'"),
        (["--rates=1,0"], "dilation rates must be positive whole numbers, got 0"),
        (["--rates=1,2", "--kernel=4"], "the kernel's size must be odd, got 4"),
        (
            ["--experiment=did_synthetic", "--head=aux", *SMALL, "--config.model.decoder=did"],
            "no output 'aux'; known: main, block2, block3",
        ),
        (["--experiment=nothing"], "unknown experiment 'nothing'"),
    ],
)
def test_errors_are_one_line_and_status_2(monkeypatch, capsys, arguments, message):
    assert program.run(monkeypatch, receptive_field, *arguments) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith("error:") and message in errors[0]


@pytest.mark.parametrize(
    "rates, text",
    [
        ([1, 2, 5, 9] * 5 + [1, 2, 5], "(1,2,5,9)x5,1,2,5"),
        ([2] * 8, "(2)x8"),
        ([5, 9, 17], "5,9,17"),
        ([4], "4"),
        ([2, 1] * 3 + [2], "(2,1)x3,2"),
    ],
)
def test_long_lists_are_written_short(rates, text):
    assert receptive_field._listed(rates) == text


@pytest.mark.parametrize("size", [(5, 6), (2, 9), (16, 3)])
def test_the_middle_of_an_image(size):
    """What is missing at the edges is mirrored."""
    image = np.arange(6 * 7).reshape(6, 7, 1)
    expected = image
    for axis, (wanted, there) in enumerate(zip(size, (6, 7))):
        mirrored = [*range(there), *reversed(range(there))]
        first = (there - wanted) // 2 if there >= wanted else -((wanted - there) // 2)
        expected = expected.take([mirrored[(first + i) % (2 * there)] for i in range(wanted)], axis)
    np.testing.assert_array_equal(receptive_field._middle(image, size), expected)
