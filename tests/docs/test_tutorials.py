"""Every command and program that the tutorials print is run, on small drawn data."""

import json
import socket
import sys

import cv2
import nbformat
import numpy as np
import pytest
import tutorials
from nbclient import NotebookClient
from program import PROJECT

import data_pipelines
from data_pipelines.spec import IGNORE

TINY = (
    "--config.model.growth=4 --config.model.units='(1, 1, 1, 1)' --config.data.crop='(33, 33)' "
    "--config.train.steps=2 --config.train.validate_every=2 --config.train.batch_size=2 --config.schedule.warmup=0"
)


def draw_camvid(folder):
    """Six frames in CamVid's layout, in place of a download of 701."""
    scenes = data_pipelines.load("synthetic", height=48, width=64, sizes={"train": 4, "val": 2})
    for split in scenes.spec.splits:
        for sample in scenes.samples(split):
            image, label = scenes.read(sample)
            label[label == IGNORE] = 11
            for part, pixels in ((split, image[..., ::-1]), (f"{split}annot", label)):
                path = folder / "data" / "camvid" / part / f"{sample.name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imencode(".png", pixels)[1].tofile(path)


def nothing(folder):
    """In place of a command that serves until it is stopped."""


def read(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels


@pytest.mark.slow
def test_camvid_in_an_hour(tmp_path):
    train, evaluate = (f"did_tf {command} --experiment=did_camvid_quick\n" for command in ("train", "evaluate"))
    changes = {
        train: f"{train.strip()} {TINY}\n",
        evaluate: f"{evaluate.strip()} --config.evaluate.scales='(1.0,)'\n",
    }
    check = "did_tf check-data --dataset=camvid"
    instead = {"did_tf data --dataset=camvid": draw_camvid, "tensorboard --logdir=runs": nothing}
    # There are fewer frames than were published, which is told.
    tutorials.follow("camvid", tmp_path, changes, instead=instead, statuses={check: 2})
    audit = json.loads((tmp_path / "runs" / "audit" / "camvid" / "audit.json").read_text())
    assert audit["problems"] == ["train has 4 samples, expected 367", "val has 2 samples, expected 101"]
    run = tmp_path / "runs" / "did_camvid_quick"
    assert json.loads((run / "evaluation" / "tiles" / "val.json").read_text())["outputs"]["main"]["miou"] >= 0
    for picture in ("curves.png", "data/draws.png", "evaluation/val_confusion.png"):
        read(run / picture)
    assert read(tmp_path / "labelled" / "val_00000_label.png").shape == (48, 64)
    assert (run / "saved_model" / "saved_model.pb").is_file()


@pytest.mark.slow
def test_serving(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    train = "did_tf train --experiment=did_synthetic"
    small = "--config.dataset.options.height=48 --config.dataset.options.width=64"
    changes = {train: f"{train} {TINY} {small}", "8500": port}
    tutorials.follow("serving", tmp_path, changes)
    labels = read(tmp_path / "label.png")
    palette = np.array(data_pipelines.spec_of("synthetic").palette)
    np.testing.assert_array_equal(palette[labels], read(tmp_path / "labelled.png")[..., ::-1])


def test_the_notebook_is_the_tutorial():
    """`python tests/tutorials.py` makes it so."""
    assert nbformat.read(tutorials.NOTEBOOK, 4) == tutorials.notebook("own-data")


@pytest.mark.slow
def test_your_own_data_as_a_notebook(tmp_path, monkeypatch):
    """Its cells are the blocks of the tutorial, whose commands are run so. The programs are processes of their own."""
    program = tmp_path / "bin" / "did_tf"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m did_tf "$@"\n')
    program.chmod(0o755)
    # Where did_tf is installed, its own program comes first.
    changes = tutorials.Changes(
        {
            'os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]': (
                f'"{program.parent}" + os.pathsep + os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]'
            ),
            "--hours=0.1 --output=mine.py": "--hours=0.1 --output=mine.py --machine=cores:2,memory:8",
            "did_tf train --experiment=mine.py": f"did_tf train --experiment=mine.py {TINY} --config.train.hours=0",
            "did_tf evaluate --experiment=mine.py": "did_tf evaluate --experiment=mine.py --protocol=whole",
            "range(43)": "range(41)",
        }
    )
    notebook = tutorials.notebook("own-data")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = changes(cell.source)
    changes.check()
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    folder = tmp_path / "work"
    folder.mkdir()
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    shown = [output for output in pictures if "image/png" in output["data"]]
    assert len(shown) == len(tutorials.SHOW.findall((tutorials.TUTORIALS / "own-data.md").read_text())) > 3
    assert read(folder / "labelled" / "view40_label.png").shape == (128, 160)
