"""CamVid in the SegNet layout, on a few generated frames."""

import cv2
import numpy as np
import pytest

from data_pipelines import IGNORE, DataError, load


def write_png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".png", pixels)[1].tofile(path)


def write_frame(folder, name, split="train", size=(4, 6), label=None):
    """A red frame, and a label that counts 0, 1, ... 11, 0, ... unless one is given."""
    bgr = np.zeros((*size, 3), np.uint8)
    bgr[..., 2] = 200
    write_png(folder / split / name, bgr)
    counting = (np.arange(size[0] * size[1]) % 12).astype(np.uint8).reshape(size)
    write_png(folder / f"{split}annot" / name, counting if label is None else label)


def names(folder, split="train"):
    return [sample.name for sample in load("camvid", folder).samples(split)]


def read_first(folder):
    dataset = load("camvid", folder)
    return dataset.read(dataset.samples("train")[0])


def test_without_a_list_all_pngs_of_the_folder_count_in_sorted_order(tmp_path):
    for name in ("b.png", "a.png", "c.PNG"):
        write_frame(tmp_path, name)
    (tmp_path / "train" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "train" / "._a.png").write_bytes(b"a note of macOS")
    assert names(tmp_path) == ["a", "b", "c"]


def test_of_a_list_only_the_base_names_count_and_its_order_is_kept(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        write_frame(tmp_path, name)
    lines = [f"/SegNet/CamVid/train/{name}.png /SegNet/CamVid/trainannot/{name}.png" for name in "ca"]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n\n")
    samples = load("camvid", tmp_path).samples("train")
    assert [sample.name for sample in samples] == ["c", "a"]
    assert samples[0].image == tmp_path / "train" / "c.png"
    assert samples[0].label == tmp_path / "trainannot" / "c.png"


def test_a_list_written_on_windows(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "trainannot").mkdir()
    (tmp_path / "train.txt").write_bytes("\ufeffD:\\CamVid\\train\\a.png D:\\CamVid\\trainannot\\a.png\r\n".encode())
    assert load("camvid", tmp_path).samples("train")[0].image == tmp_path / "train" / "a.png"


def test_splits_are_kept_apart(tmp_path):
    for split in ("train", "val", "test"):
        write_frame(tmp_path, f"{split}1.png", split)
    assert [names(tmp_path, split) for split in ("train", "val", "test")] == [["train1"], ["val1"], ["test1"]]


def test_void_becomes_the_ignore_label_and_classes_stay(tmp_path):
    write_frame(tmp_path, "a.png")
    _, label = read_first(tmp_path)
    assert label.dtype == np.uint8
    assert label.ravel().tolist() == 2 * [*range(11), IGNORE]


def test_images_are_rgb(tmp_path):
    write_frame(tmp_path, "a.png")
    image, _ = read_first(tmp_path)
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == [200, 0, 0]


def test_image_and_label_of_different_sizes_are_named_with_their_sizes(tmp_path):
    write_frame(tmp_path, "a.png", label=np.zeros((6, 4), np.uint8))
    with pytest.raises(DataError, match=r"train/a\.png is 4x6 .*trainannot/a\.png is 6x4"):
        read_first(tmp_path)


def test_a_label_that_is_missing_is_named(tmp_path):
    write_frame(tmp_path, "a.png")
    (tmp_path / "trainannot" / "a.png").unlink()
    with pytest.raises(DataError, match=r"trainannot/a\.png: No such file"):
        read_first(tmp_path)


def test_a_missing_data_set_says_where_it_was_looked_for_and_what_to_do(tmp_path):
    with pytest.raises(DataError) as error:
        load("camvid", tmp_path / "nowhere")
    for part in (str(tmp_path / "nowhere"), "trainannot/", "did_tf data --dataset=camvid", "needs no data"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("absent", ["train", "trainannot"])
def test_a_missing_folder_of_a_split_is_named(tmp_path, absent):
    write_frame(tmp_path, "a.png")
    (tmp_path / absent / "a.png").unlink()
    (tmp_path / absent).rmdir()
    with pytest.raises(DataError, match=f"no folder {tmp_path / absent};"):
        names(tmp_path)


def test_an_empty_split_is_refused(tmp_path):
    write_frame(tmp_path, "a.png")
    (tmp_path / "train" / "a.png").unlink()
    with pytest.raises(DataError, match="'train' is empty"):
        names(tmp_path)


def test_an_empty_list_is_refused(tmp_path):
    write_frame(tmp_path, "a.png")
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(DataError, match="'train' is empty"):
        names(tmp_path)


def test_an_unknown_split_names_the_known_ones(tmp_path):
    write_frame(tmp_path, "a.png")
    with pytest.raises(DataError, match="no split 'training'; known: train, val, test"):
        names(tmp_path, "training")


def test_the_descriptor(tmp_path):
    spec = load("camvid", tmp_path).spec
    assert dict(spec.splits) == {"train": 367, "val": 101, "test": 233}
    assert spec.classes[0] == "sky"
    assert spec.classes[10] == "bicyclist"
    assert (spec.num_classes, spec.bands, spec.void_ids) == (11, 3, (11,))


def test_unknown_options_are_refused(tmp_path):
    with pytest.raises(DataError, match="no option 'void'; known: none"):
        load("camvid", tmp_path, void=3)
    with pytest.raises(DataError, match="'kitti_road' has no option 'folder'; known: patch, stride"):
        load("kitti_road", tmp_path, folder="elsewhere")


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("cityscapes", {"half": "no"}, "bool, got 'no'"),
        ("cityscapes", {"patches": 13}, "str, got 13"),
        ("inria_aerial", {"patch": True}, "int, got True"),
    ],
)
def test_options_of_another_type_are_refused(name, options, kind, tmp_path):
    with pytest.raises(DataError, match=f"option '{next(iter(options))}' of dataset '{name}' must be of type {kind}"):
        load(name, tmp_path, **options)
