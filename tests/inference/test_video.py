import cv2
import numpy as np
import pytest
from photos import picture

from data_pipelines import DataError, DatasetSpec
from did_tf.common.errors import ConfigError
from did_tf.inference import video


def moving(count, height=48, width=64):
    """Frames in which a red square moves over blue, RGB."""
    for number in range(count):
        frame = np.full((height, width, 3), (20, 40, 200), np.uint8)
        frame[10:30, 2 * number : 2 * number + 20] = (220, 30, 10)
        yield frame


def write(path, pictures, rate=12.5):
    with video.writing(path, rate) as writer:
        for one in pictures:
            writer.write(one)
    return path


@pytest.mark.parametrize("ending", video.CODECS)
def test_what_was_written_is_read_again(ending, tmp_path):
    frames = video.frames_of(write(tmp_path / f"a{ending}", moving(9)))
    assert (frames.rate, frames.count) == (pytest.approx(12.5), 9)
    again = list(frames)
    assert len(again) == 9
    for seen, frame in zip(again, moving(9)):
        assert np.abs(seen.astype(int) - frame).mean() < (1 if ending == ".mkv" else 12)  # red is red
    frames.check(9, 12.5)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{ending}"]


@pytest.mark.parametrize("rate", [29.97, 23.976, 7.3, 120])
def test_frames_a_second_are_kept(rate, tmp_path):
    assert video.frames_of(write(tmp_path / "a.mp4", moving(3), rate)).rate == pytest.approx(rate, rel=1e-3)


def test_an_odd_size_loses_nothing(tmp_path):
    frame = picture(47, 63, 0)
    (seen,) = video.frames_of(write(tmp_path / "a.mkv", [frame]))
    assert seen.shape == (48, 64, 3)
    assert np.abs(seen[:47, :63].astype(int) - frame).mean() < 1


def test_a_picture_of_another_size_is_brought_to_the_first(tmp_path):
    large = np.full((48, 100, 3), 200, np.uint8)
    _, seen = video.frames_of(write(tmp_path / "a.mkv", [np.zeros((48, 64, 3), np.uint8), large]))
    assert seen.shape == (48, 64, 3)
    lit = (seen > 100).all(axis=-1)
    assert lit[9:39].all() and not lit[:8].any() and not lit[40:].any()  # 64 wide and 31 high, in the middle


def test_where_something_fails_nothing_is_left_and_the_old_file_stays(tmp_path):
    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(KeyboardInterrupt), video.writing(tmp_path / "a.mp4", 25) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "old"


def test_frames_that_were_not_written_are_told(tmp_path):
    lost = pytest.raises(OSError, match="cannot write: 2 of 3 frames are there: is the disk full")
    with lost, video.writing(tmp_path / "a.avi", 25) as writer:
        for frame in moving(2):
            writer.write(frame)
        writer.done += 1
    assert not [*tmp_path.iterdir()]


def test_a_codec_that_is_not_there_is_told_in_a_line(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(video.CODECS, ".mp4", "none")
    with pytest.raises(ConfigError, match="can't write .mp4 of 64x48 pixels at 25 frames a second"):
        write(tmp_path / "a.mp4", moving(1), 25)
    assert capfd.readouterr().err == "" and not [*tmp_path.iterdir()]


def test_what_is_no_video(tmp_path, capfd):
    whole = write(tmp_path / "whole.mp4", moving(9)).read_bytes()
    for name, content in {"text.mp4": b"no video", "empty.mp4": b"", "cut.mp4": whole[: len(whole) // 2]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"cannot read .*{name}: it is no video, damaged"):
            video.frames_of(tmp_path / name)
    with pytest.raises(DataError, match="no video or folder of frames"):
        video.frames_of(tmp_path / "nowhere.mp4")
    assert capfd.readouterr().err == ""  # FFmpeg's own words


def test_a_video_that_is_cut_off_is_told_after_its_frames(tmp_path):
    path = write(tmp_path / "a.avi", moving(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = video.frames_of(path)
    done = len(list(frames))
    assert 0 < done < 19
    with pytest.raises(DataError, match=f"a.avi is damaged or cut off: {done} of its 20 frames"):
        frames.check(done, frames.rate)


def test_frames_at_varying_times_are_noted(tmp_path, capsys):
    frames = video.frames_of(write(tmp_path / "a.mp4", moving(20), 5))
    frames.check(len(list(frames)), 5)
    assert capsys.readouterr().out == ""
    frames.check(20, 25)
    assert capsys.readouterr().out == "", "a rate that was asked for makes it shorter"
    frames.rate = 25
    frames.check(20, 25)
    assert "it takes 3.8 s, and the output 0.8 s" in capsys.readouterr().out


def test_a_folder_of_frames_is_taken_by_numbers_and_without_what_is_damaged(tmp_path):
    for number in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((8, 9, 3), (0, 0, number), np.uint8))
    (tmp_path / "frame3.png").write_bytes(b"no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no frame")
    frames = video.frames_of(tmp_path)
    assert (frames.rate, frames.count) == (None, 4)
    assert [frame[0, 0].tolist() for frame in frames] == [[1, 0, 0], [2, 0, 0], [10, 0, 0]]
    with pytest.raises(DataError, match="frame3.png.*; the output has all others"):
        frames.check(3, 25)
    with pytest.raises(DataError, match="no frames in"):
        video.frames_of(next(path for path in [tmp_path / "empty"] if not path.mkdir()))


def test_void_is_shown_in_a_colour_that_no_class_has():
    spec = DatasetSpec("mine", ("night", "day"), ((0, 0, 0), (255, 255, 255)), {}, (0.0,) * 3, (1.0,) * 3)
    frame, classes = np.full((2, 2, 3), 7, np.uint8), np.array([[255, 255], [0, 1]], np.uint8)
    for show in ("color", "side_by_side"):
        void, night, day = video.SHOWN[show](frame, classes, spec)[(0, 1, 1), (-1, -2, -1)].tolist()
        assert (night, day) == ([0, 0, 0], [255, 255, 255]) and void not in (night, day)
    assert video.SHOWN["overlay"](frame, classes, spec)[0].tolist() == [[7, 7, 7]] * 2, "the frame alone"


def test_frames_of_a_folder_say_where_they_are_transparent(tmp_path):
    clear = np.full((8, 9, 4), 255, np.uint8)
    clear[:3, :, 3] = 0
    cv2.imwrite(str(tmp_path / "1.png"), clear)
    cv2.imwrite(str(tmp_path / "2.png"), clear[..., :3])
    frames = video.frames_of(tmp_path)
    void = [frames.void for _ in frames]
    np.testing.assert_array_equal(void[0], clear[..., 3] == 0)
    assert void[1] is None


def test_smoothing_is_a_mean_that_forgets():
    smooth, frames = video.Smoothing(0.75), np.random.default_rng(0).random((5, 3, 4, 2)).astype(np.float32)
    mean = frames[0]
    for number, frame in enumerate(frames):
        mean = frame if not number else 0.75 * mean + 0.25 * frame
        classes = smooth(frame)
        assert classes.dtype == np.uint8
        np.testing.assert_array_equal(classes, mean.argmax(axis=-1))


def test_smoothing_begins_anew_at_another_size_and_where_nothing_was_known():
    smooth, certain = video.Smoothing(0.9), np.eye(2, dtype=np.float32)
    first, second = certain[[[0, 0]]], certain[[[1, 1]]]
    assert smooth(first).tolist() == [[0, 0]] == smooth(second).tolist()
    assert smooth(np.concatenate([second, second])).tolist() == [[1, 1], [1, 1]]
    unknown = first.copy()
    unknown[0, 0] = np.nan
    smooth = video.Smoothing(0.9)
    assert smooth(first).tolist() == [[0, 0]]
    assert smooth(unknown).tolist() == [[255, 0]]
    assert smooth(second).tolist() == [[1, 0]]
