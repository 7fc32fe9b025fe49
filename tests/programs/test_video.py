import cv2
import numpy as np
import pytest
import tiny
from photos import picture
from program import launch_here

import did_tf
from did_tf import api
from did_tf.common import visualize
from did_tf.inference import video


def make_run(folder, **options):
    config = tiny.config(**{f"dataset__options__{key}": value for key, value in options.items()})
    return tiny.save_run(folder, config, tiny.network(config)).folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("video") / "run")


@pytest.fixture(scope="module")
def model(run):
    return did_tf.load(run)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A video without loss of five frames, 33x46, each of which looks otherwise."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with video.writing(path, 12.5) as writer:
        for number in range(5):
            writer.write(picture(34, 46, number))
    return path


def label(run, source, output, *arguments):
    return launch_here("video", f"--run={run}", f"--input={source}", f"--output={output}", *arguments)


def frames_of(path):
    return list(video.frames_of(path))


def near(seen, expected):
    """Whether two pictures are the same but for what a codec and its coarser colours change."""
    return np.abs(seen.astype(int) - expected).mean() < 4


def test_every_frame_is_labelled_as_the_model_does(run, model, film, tmp_path):
    done = label(run, film, tmp_path / "out.mkv")
    assert done.returncode == 0 and "5 frames in" in done.stdout and "a second" in done.stdout, done.stderr
    labelled = video.frames_of(tmp_path / "out.mkv")
    assert labelled.rate == pytest.approx(12.5)
    again = list(labelled)
    assert len(again) == 5
    for frame, seen in zip(frames_of(film), again):
        assert near(seen, visualize.overlay(frame, model.predict(frame), model.palette))


@pytest.mark.parametrize("show, width", [("color", 46), ("side_by_side", 92)])
def test_what_is_shown(show, width, run, model, film, tmp_path):
    assert label(run, film, tmp_path / "out.mkv", f"--show={show}", "--limit=1").returncode == 0
    frame = frames_of(film)[0]
    (seen,) = frames_of(tmp_path / "out.mkv")
    assert seen.shape == (34, width, 3)
    assert near(seen[:, -46:], visualize.colorize(model.predict(frame), model.palette))


def test_smoothed_labels_are_those_of_the_mean(run, model, film, tmp_path):
    assert label(run, film, tmp_path / "out.mkv", "--smooth=0.9", "--show=color").returncode == 0
    mean, differ = None, False
    for frame, seen in zip(frames_of(film), frames_of(tmp_path / "out.mkv"), strict=True):
        found = model.predict(frame, probabilities=True)
        mean = found if mean is None else 0.9 * mean + 0.1 * found
        assert near(seen, visualize.colorize(mean.argmax(axis=-1), model.palette))
        differ |= not near(seen, visualize.colorize(model.predict(frame), model.palette))
    assert differ, "from those of single frames"


def test_a_folder_of_frames_but_for_those_that_are_damaged(run, tmp_path):
    (tmp_path / "frames").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), picture(33, 47, number)[..., ::-1])
    (tmp_path / "frames" / "3.png").write_bytes(b"no picture")
    done = label(run, tmp_path / "frames", tmp_path / "new" / "out.mp4", "--fps=4")
    assert done.returncode == 2 and "3.png" in done.stderr and done.stderr.count("error:") == 1
    labelled = video.frames_of(tmp_path / "new" / "out.mp4")
    assert (len(list(labelled)), labelled.rate) == (3, 4)


@pytest.mark.parametrize("smooth", [[], ["--smooth=0.5"]])
def test_what_is_transparent_has_no_class(smooth, run, tmp_path, monkeypatch):
    (tmp_path / "frames").mkdir()
    frame = np.dstack([picture(34, 46, 1), np.full((34, 46), 255, np.uint8)])
    frame[:20, :30, 3] = 0
    cv2.imwrite(str(tmp_path / "frames" / "1.png"), frame)
    seen, given, measured = [], [], api.Model.measured
    monkeypatch.setitem(video.SHOWN, "color", lambda frame, classes, spec: seen.append(classes) or frame)
    monkeypatch.setattr(api.Model, "measured", lambda model, image: given.append(image) or measured(model, image))
    done = label(run, tmp_path / "frames", tmp_path / "out.mkv", "--show=color", *smooth)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(seen[0] == 255, frame[..., 3] == 0)
    assert (given[0][:20, :30] == api.load(run).spec.filling).all()  # as in an image that `predict` reads


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--output=out.txt"], "must end with one of .mp4 .webm .avi .mkv"),
        (["--output="], "--output is missing"),
        (["--run="], "--run is missing"),
        (["--run=nowhere"], "nowhere is no folder"),
        (["--input=nowhere.mp4"], "no video or folder of frames nowhere.mp4"),
        (["--show=all"], "--show=all: it is one of overlay, color, side_by_side"),
        (["--smooth=1"], "--smooth=1: it is the weight"),
        (["--smooth=nan"], "--smooth=nan: it is the weight"),
        (["--fps=0"], "0 frames per second"),
        (["--protocol=hole"], "unknown protocol"),
        (["--experiment=did_camvid"], "video takes --run"),
        (["--config.data.crop=(9,9)"], "video takes --run"),
        (["--data=there"], "video takes --run"),
    ],
)
def test_what_is_refused(arguments, told, run, film, tmp_path):
    done = label(run, film, tmp_path / "out.mp4", *arguments)
    assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not [*tmp_path.iterdir()]


def test_an_output_that_is_there_is_left_alone(run, film, tmp_path):
    (tmp_path / "out.mp4").write_text("old")
    done = label(run, film, tmp_path / "out.mp4")
    assert done.returncode == 2 and "is there already" in done.stderr
    assert (tmp_path / "out.mp4").read_text() == "old"
    (tmp_path / "link.mkv").symlink_to(film)
    before = film.read_bytes()
    for same in (film, tmp_path / "link.mkv"):
        assert "is the input" in label(run, film, same).stderr
    assert film.read_bytes() == before


def test_a_network_of_other_bands_is_refused(film, tmp_path):
    five = make_run(tmp_path / "five", bands=5)
    done = label(five, film, tmp_path / "out.mp4")
    assert done.returncode == 2 and "takes 5 bands of uint8, and a video has 3" in done.stderr


def test_after_ctrl_c_there_is_nothing(run, film, tmp_path, monkeypatch):
    frames = []

    def interrupted(self, image, mask):
        frames.append(image)
        if len(frames) == 3:
            raise KeyboardInterrupt
        return np.zeros(image.shape[:2], np.uint8)

    monkeypatch.setattr(api.Model, "see", interrupted)
    done = label(run, film, tmp_path / "out.mp4")
    assert done.returncode == 130 and not [*tmp_path.iterdir()]
