"""CamVid in the SegNet layout: 367/101/233 frames of 360x480, 11 classes and void (REFERENCE.md section 7)."""

from pathlib import Path, PureWindowsPath

from data_pipelines.camvid_classes import CLASSES, PALETTE
from data_pipelines.images import read_image, read_label
from data_pipelines.spec import DataError, Dataset, DatasetSpec, Sample

SPEC = DatasetSpec(
    name="camvid",
    classes=CLASSES,
    palette=PALETTE,
    splits={"train": 367, "val": 101, "test": 233},
    # Measured on the 367 training frames.
    mean=(105.0, 108.4, 110.3),
    std=(78.3, 79.5, 78.3),
    void_ids=(11,),
)
LAYOUT = "train/ trainannot/ val/ valannot/ (test/ testannot/), and optionally train.txt val.txt test.txt"


class CamVid(Dataset):
    """CamVid under `folder`.

    Each split's frames are those its list file names, or all PNGs of its folder where there is none. The published
    lists hold absolute paths of somebody else's disk: only their base names count.
    """

    spec = SPEC

    def __init__(self, folder="data/camvid"):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise DataError(
                f"no CamVid in {self.folder.resolve()}: expected {LAYOUT}; "
                "run `make data DATASET=camvid`, pass DATA=dir, or try EXP=did_synthetic, which needs no data"
            )

    def samples(self, split):
        if split not in self.spec.splits:
            raise DataError(f"camvid has no split {split!r}; known: {', '.join(self.spec.splits)}")
        images, labels = self.folder / split, self.folder / f"{split}annot"
        for folder in (images, labels):
            if not folder.is_dir():
                raise DataError(f"camvid split {split!r}: no folder {folder}; expected {LAYOUT}")
        names = self._names(split, images)
        if not names:
            raise DataError(f"camvid split {split!r} is empty: no frames in {images}")
        return [Sample(Path(name).stem, images / name, labels / name) for name in names]

    def read(self, sample):
        image = read_image(sample.image)
        label = read_label(sample.label, self.spec)
        if image.shape[:2] != label.shape:
            raise DataError(
                f"{sample.image} is {image.shape[0]}x{image.shape[1]} but its label {sample.label} is "
                f"{label.shape[0]}x{label.shape[1]} (height x width): they must be equal"
            )
        return image, label

    def _names(self, split, images):
        listing = self.folder / f"{split}.txt"
        if not listing.is_file():
            return sorted(path.name for path in images.iterdir() if path.suffix.lower() == ".png")
        lines = listing.read_text(encoding="utf-8-sig").splitlines()
        return [PureWindowsPath(line.split()[0]).name for line in lines if line.strip()]
