"""Indices of palettes that stand for one colour in one file and another in the next."""

import numpy as np
import pytest
from in_memory import InMemory, halves, noise
from PIL import Image

from data_pipelines import load
from data_pipelines.audit import findings
from data_pipelines.audit.survey import survey

RED, BLUE = (255, 0, 0), (0, 0, 255)


def write(folder, name, palette):
    """A label whose left half is of index 0 and right half of 1, and its image; index 2 is in no pixel."""
    for part, picture in (("images", Image.fromarray(noise(len(name)))), ("labels", Image.fromarray(halves()))):
        (folder / part).mkdir(parents=True, exist_ok=True)
        if part == "labels":
            picture.putpalette([value for colour in palette for value in colour])
        picture.save(folder / part / f"{name}.png")


@pytest.mark.parametrize(
    ("palette", "told"), [((BLUE, RED, RED), True), ((RED, BLUE, BLUE), False), ((RED, BLUE, RED), False)]
)
def test_an_index_of_two_colours_is_a_problem(palette, told, tmp_path):
    """But for what no pixel has."""
    write(tmp_path, "one", (RED, BLUE, RED))
    write(tmp_path, "other", palette)
    (tmp_path / "dataset.yaml").write_text("images: images\nlabels: labels\nclasses: [a, b]\nsplits: {train: 1.0}\n")
    dataset = load("folders", tmp_path)
    problems = findings.judge(dataset.spec, [survey(dataset, "train")]).problems
    assert any("index 0 is (255, 0, 0) in the palette of" in problem for problem in problems) == told


def test_pseudo_labels_have_the_palette_of_what_made_them(tmp_path):
    write(tmp_path, "one", (RED, BLUE, RED))
    write(tmp_path / "more", "other", (BLUE, RED, RED))
    predicted = tmp_path / "more" / "labels" / "other.png"
    predicted.rename(predicted.with_name("other_label.png"))
    (tmp_path / "dataset.yaml").write_text(
        "images: images\nlabels: labels\nclasses: [a, b]\nsplits: {train: 1.0}\n"
        "pseudo: {images: more/images, labels: more/labels}\n"
    )
    dataset = load("folders", tmp_path)
    found = survey(dataset, "train")
    assert found.pseudo.tolist() == [False, True] and found.readable.all()
    assert not any("palette" in problem for problem in findings.judge(dataset.spec, [found]).problems)


def test_labels_without_files():
    dataset = InMemory({"train": [(noise(0), np.zeros((24, 32), np.uint8))]})
    assert not any(
        "palette" in problem for problem in findings.judge(dataset.spec, [survey(dataset, "train")]).problems
    )
