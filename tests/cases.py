"""Small inputs as people have them, from two folders to a served network by the commands, with a line for each.

`make test-cases CASES=dir`, or `python -m tests.cases DIR [NAME ...]`: each folder in DIR is a case. Its images and
labels are described, unless data/dataset.yaml is there, audited, trained on for two steps, scored, predicted (its
folder in/ or new/, or else images of its own) and exported. `RIGHT` judges the cases that it knows by name; the lines
of others say how every command ended. The exit status is 1 where a known case is wrong.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import rasterio
import yaml

import data_pipelines
from data_pipelines.spec import IGNORE

PROJECT = Path(__file__).parents[1]
TINY = {
    "model.growth": 4,
    "model.units": "(1,1,1,1)",
    "data.crop": "(33,33)",
    "schedule.warmup": 0,
    "train.steps": 2,
    "train.batch_size": 2,
    "train.validate_every": 2,
    "train.progress": False,
    "evaluate.scales": "(1.0,)",
}
SETTINGS = tuple(f"--config.{key}={value}" for key, value in TINY.items())
DRAWN = ("--config.dataset.options.height=48", "--config.dataset.options.width=64")
IMAGES, LABELS = ("images", "bands", "train/images"), ("labels", "masks", "annotations", "train/masks")
NEW = ("in", "new")
BLACK, RED, BLUE = (0, 0, 0), (255, 0, 0), (0, 0, 255)


class Told:
    """What a command printed, and how it ended.

    Attributes:
      status: of its exit.
      text: all that it printed.
      ending: the line that says how it ended: its error, or else the last one.
    """

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.text = done.returncode, done.stdout + done.stderr
        lines = [line for line in self.text.splitlines() if line.strip()] or [""]
        self.ending = next((line for line in lines if line.startswith("error: ")), lines[-1])


class Case:
    """One case, in a folder that may be written to.

    Attributes:
      folder: a copy of the case's.
      data: where its dataset.yaml is.
      run: the run that is trained.
      told: command -> `Told`, of those that were run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.run = folder, folder / "data", folder / "run"
        self.told: dict[str, Told] = {}

    def command(self, name: str, *arguments: str) -> Told:
        """Runs `did_tf NAME`."""
        line = [sys.executable, "-m", "did_tf", name, *arguments]
        self.told[name] = Told(subprocess.run(line, cwd=PROJECT, capture_output=True, text=True))
        return self.told[name]

    def follow(self) -> None:
        """All commands, up to the first that can't go on; predictions are in out/, the SavedModel in served/."""
        data = self._described()
        if data is None:
            return
        of_run = (*data, f"--run={self.run}", *SETTINGS)
        if self.command("train", *of_run).status:
            return
        self.command("evaluate", *of_run)
        new = [f"--input={self.folder / name}" for name in NEW if (self.folder / name).is_dir()]
        self.command("predict", *of_run, f"--output={self.folder / 'out'}", *new)
        self.command("export", *of_run, f"--output={self.folder / 'served'}")

    def _described(self):
        """Arguments that name the data, which are described and audited, or None where they can't be."""
        images, labels = (
            next((self.folder / name for name in names if (self.folder / name).is_dir()), None)
            for names in (IMAGES, LABELS)
        )
        if not images or not labels:
            return "--experiment=did_synthetic", *DRAWN
        if not any(self.data.glob("dataset.*")):
            arguments = f"--images={images}", f"--labels={labels}", f"--folder={self.data}"
            if self.command("describe-data", *arguments).status:
                return None
        self.command("check-data", "--dataset=folders", f"--folder={self.data}", f"--output={self.folder / 'audit'}")
        return "--experiment=did_folders", f"--data={self.data}"

    def summary(self) -> str:
        """How every command ended, with the line of those that refused."""
        return "; ".join(
            f"{name} {told.status}" + (f" ({told.ending})" if told.status else "") for name, told in self.told.items()
        )

    def dataset(self) -> data_pipelines.Dataset:
        """The data as the commands read them."""
        return data_pipelines.load("folders", self.data)

    def labels(self) -> dict[str, np.ndarray]:
        """Name -> label as it is trained on, of all splits."""
        dataset = self.dataset()
        samples = [sample for split in dataset.spec.splits for sample in dataset.samples(split)]
        return {Path(sample.name).name: dataset.read(sample)[1] for sample in samples}

    def stored(self, folder: str, name: str) -> np.ndarray:
        """What a file of the case holds, as OpenCV reads it, whose warnings on tags of GeoTIFFs are left out."""
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        return cv2.imread(str(next((self.folder / folder).glob(f"{name}.*"))), cv2.IMREAD_UNCHANGED)

    def predicted(self, name: str) -> np.ndarray:
        """NAME_label.tif or NAME_label.png of what was predicted."""
        return self.stored("out", f"{name}_label")

    def ended(self, **statuses: int) -> None:
        """Checks statuses of commands, those of all others being 0."""
        for name, told in self.told.items():
            expected = statuses.get(name.replace("-", "_"), 0)
            assert told.status == expected, f"{name} ended with {told.status}, not {expected}: {told.ending}"
            assert "Traceback" not in told.text, f"{name} shows a traceback"


def given_splits(case: Case) -> None:
    """Folders named train, val, test are the splits."""
    case.ended()
    assert dict(case.dataset().spec.splits) == {"train": 8, "val": 3, "test": 3}
    numbers = {split: {int(sample.name[-3:]) // 100 for sample in case.dataset().samples(split)} for split in SPLITS}
    assert numbers == {"train": {0}, "val": {1}, "test": {2}}, "images are in splits of other folders"


def splits_above(case: Case) -> None:
    """The same, where those folders hold images and labels."""
    case.ended()
    assert dict(case.dataset().spec.splits) == {"train": 8, "val": 3}


def soft_masks(case: Case) -> None:
    """Two classes, the upper one from the middle between their values."""
    case.ended()
    assert "soft edges" in case.told["describe-data"].text
    for name, label in case.labels().items():
        np.testing.assert_array_equal(label, case.stored("masks", name) > 127)


def soft_colours(case: Case) -> None:
    """Three colours, the others the nearest of these, or void."""
    case.ended()
    spec = case.dataset().spec
    assert set(spec.label_colours) == {BLACK, RED, BLUE}, spec.label_colours
    for name, label in case.labels().items():
        colours = case.stored("masks", name)[..., ::-1].astype(int)
        distances = [((colours - colour) ** 2).sum(-1) for colour in spec.label_colours]
        sure = (np.min(distances, 0) < np.sort(distances, 0)[1]) & (label != IGNORE)
        np.testing.assert_array_equal(label[sure], np.argmin(distances, 0)[sure])
        assert sure.mean() > 0.97


def nodata_in_one_band(case: Case) -> None:
    """Void where all bands are nodata alone."""
    case.ended()
    for name, label in case.labels().items():
        hole = (case.stored("images", name) == 0).all(-1)
        np.testing.assert_array_equal(label, np.where(hole, IGNORE, case.stored("labels", name)))


def nodata_late(case: Case) -> None:
    """The mean is that of values that are some."""
    case.ended()
    assert all(60 < mean < 120 for mean in case.dataset().spec.mean), case.dataset().spec.mean


def nodata_to_predict(case: Case) -> None:
    """Void where the image has nothing."""
    case.ended()
    label = case.predicted("edge")
    void = case.dataset().spec.void_id
    assert (label[:, :60] == void).all() and (label[:, 60:] != void).all()


def shifted_labels(case: Case) -> None:
    """A problem, and no training."""
    case.ended(check_data=2, train=2)


def own_ids(case: Case) -> None:
    """Outputs have the user's ids and lie where the image does."""
    case.ended()
    assert set(np.unique(case.predicted("big"))) <= {7, 26, 40}
    with (
        rasterio.open(case.folder / "new" / "big.tif") as image,
        rasterio.open(case.folder / "out/big_label.tif") as out,
    ):
        assert (out.crs, out.transform, out.shape) == (image.crs, image.transform, image.shape)
    about = json.loads((case.folder / "served" / "assets" / "dataset.json").read_text())
    assert [7, 26, 40] in about.values()


def nothing_to_learn(case: Case) -> None:
    """Refused before the first step, and a problem of the audit."""
    case.ended(check_data=2, train=2)


def band_files(case: Case) -> None:
    """Every ending is a band of the image."""
    case.ended()
    assert case.dataset().spec.bands == 3


def channels_first(case: Case) -> None:
    """Told, and not taken for 128 bands."""
    assert "channels first" in case.told["describe-data"].text
    case.ended(describe_data=case.told["describe-data"].status)


def clear_background(case: Case) -> None:
    """Said to be transparency; where it is drafted, colours are classes."""
    assert "transparen" in case.told["describe-data"].text
    case.ended()


def one_raster(case: Case) -> None:
    """Windows are samples, and no pixel is in two splits."""
    case.ended()
    seen = np.zeros((1200, 1500), int)
    for number, split in enumerate(case.dataset().spec.splits, start=1):
        mine = np.zeros_like(seen, bool)
        for sample in case.dataset().samples(split):
            mine[sample.window.inside(*seen.shape)] = True
        assert mine.any() and not seen[mine].any(), f"{split} is empty, or has pixels of another split"
        seen[mine] = number


def mask_per_class(case: Case) -> None:
    """A class for each folder of masks."""
    case.ended()
    classes = case.dataset().spec.classes
    for name, label in case.labels().items():
        for kind in ("red", "blue"):
            np.testing.assert_array_equal(label == classes.index(kind), case.stored(f"masks/{kind}", name) > 0)


def two_columns(case: Case) -> None:
    """Lists of pairs."""
    case.ended()
    assert dict(case.dataset().spec.splits) == {"train": 4, "val": 2}


def more_classes(case: Case) -> None:
    """A run with three classes gives all but the head to one with four."""
    case.ended()
    fewer = yaml.safe_load((case.data / "dataset.yaml").read_text())
    before = case.folder / "before"
    before.mkdir()
    (before / "dataset.yaml").write_text(yaml.safe_dump({**fewer, "classes": ["a", "b", "c"], "void": [3]}))
    arguments = "--experiment=did_folders", *SETTINGS, "--config.dataset.val_split="
    case.command("train", *arguments, f"--data={before}", f"--run={case.folder / 'first'}")
    init = f"--config.train.init={case.folder / 'first'}"
    case.command("train", *arguments, f"--data={case.data}", f"--run={case.folder / 'second'}", init)
    case.ended()


def damaged_among_good(case: Case) -> None:
    """The others are predicted, and the damaged one is named at the end."""
    case.ended(predict=2)
    assert "p2" in case.told["predict"].text
    done = sorted(path.name[:2] for path in (case.folder / "out").glob("*_label.png"))
    assert done == ["p0", "p1", "p3", "p4"]


SPLITS = ("train", "val", "test")
RIGHT: dict[str, Callable[[Case], None]] = {
    **{
        judge.__name__: judge
        for judge in (
            given_splits,
            splits_above,
            soft_masks,
            soft_colours,
            nodata_in_one_band,
            nodata_late,
            nodata_to_predict,
            shifted_labels,
            own_ids,
            band_files,
            channels_first,
            clear_background,
            one_raster,
            mask_per_class,
            two_columns,
            more_classes,
            damaged_among_good,
        )
    },
    "jpeg_masks": soft_masks,
    "nothing_labelled": nothing_to_learn,
    "one_class": nothing_to_learn,
}
"""What is right, by the name of the case."""


def judged(source: Path) -> tuple[bool, str]:
    """Whether the case in the folder `source` is right (or unknown), and its line."""
    with tempfile.TemporaryDirectory() as scratch:
        case = Case(Path(scratch) / source.name)
        shutil.copytree(source, case.folder)
        case.follow()
        judge = RIGHT.get(source.name)
        try:
            if judge:
                judge(case)
        except Exception as error:  # whatever it is, the case is wrong
            said = " ".join(str(error).split())[:300]
            return False, f"{source.name}: WRONG: {type(error).__name__} {said} | {case.summary()}"
        return True, f"{source.name}: {'right' if judge else 'done'}: {case.summary()}"


def main() -> int:
    """Runs the cases that are asked for. Returns the exit status."""
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        print("error: name a folder of cases: make test-cases CASES=dir", file=sys.stderr)
        return 2
    where, *chosen = sys.argv[1:]
    wrong = 0
    for name in chosen or sorted(path.name for path in Path(where).iterdir() if path.is_dir()):
        right, line = judged(Path(where, name))
        print(line, flush=True)
        wrong += not right
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
