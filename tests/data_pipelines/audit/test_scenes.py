"""Scenes that names tell."""

import re

import pytest

from data_pipelines.audit.scenes import find_runs, find_scenes


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("scene{}_x{}_y512", r"^(.+)_x\d+_y\d+$"),
        ("city{}-row{:02}-col7", r"^(.+)-row\d+-col\d+$"),
        ("austin{}_{}000_512", r"^(.+)_\d+_\d+$"),
        ("video{}/frame{:05}", r"^(.+)frame\d+$"),
        ("video{}_frame{:05}", r"^(.+)_frame\d+$"),
        ("Seq{}VD_f{:05}", r"^(.+)_f\d+$"),
        ("scene{}_tile_{}", r"^(.+)_tile_\d+$"),
    ],
)
def test_tiles_and_frames_of_one_scene(name, pattern):
    names = [name.format(scene, number) for scene in range(4) for number in range(3)]
    found = find_scenes(names)
    assert (found.pattern, found.number, found.sure) == (pattern, 4, True)
    assert [found.of(names)[one].rstrip("/") for one in names] == [re.split("[-_/]", one)[0] for one in names]


@pytest.mark.parametrize(("name", "pattern"), [("{}_{}", r"^(.+)_\d+$"), ("{}/{}", "^(.+)/")])
def test_mere_counts_and_folders_are_not_sure(name, pattern):
    found = find_scenes([name.format(kind, number) for kind in ("cat", "dog") for number in range(5)])
    assert (found.pattern, found.number, found.sure) == (pattern, 2, False)


@pytest.mark.parametrize(
    "names",
    [
        [f"img_{number}" for number in range(9)],
        [f"tile_x{number}_y0" for number in range(9)],
        [f"scene{number}_x0_y0" for number in range(9)],
        ["a_x0", "a_x1", "b_x0", "b_x1", "other"],
        ["a", "b"],
    ],
)
def test_names_that_tell_no_scenes(names):
    assert find_scenes(names) is None


@pytest.mark.parametrize(
    ("names", "pattern", "number"),
    [
        ([f"frame_{number:04}" for number in range(1, 501)], r"^(frame_\d+)\d$", 51),
        ([f"frame_{number:04}" for number in range(0, 9000, 25)], r"^(frame_\d+)\d\d$", 90),
        ([f"{number:06}" for number in range(1200)], r"^(\d+)\d\d$", 12),
        ([f"view{number:02}" for number in range(43)], None, 0),
        ([f"frame_{number}" for number in range(500)], None, 0),
        ([f"frame_{number:04}" for number in range(500)] + ["other"], None, 0),
        ([f"{word}{number:04}" for word in "ab" for number in range(500)], None, 0),
    ],
)
def test_runs_of_numbered_images(names, pattern, number):
    found = find_runs(names)
    assert (found and (found.pattern, found.number, found.sure)) == (pattern and (pattern, number, False))
