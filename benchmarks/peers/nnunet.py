"""nnU-Net v2, 2D: a program of `comparison`.

It plans by itself, preprocesses, and trains as nnUNetTrainer does: its network, patch, batch, loss, deep supervision,
augmentation, SGD and polynomial fall of the rate. Three things are others. The training ends on time: it has no
epochs, the rate falls with the time that is spent, and nothing is validated meanwhile. In bfloat16 the network is under
autocast, as it is on a GPU, which nnU-Net leaves out on a CPU. And it learns from all images of the training split
(fold "all"). The most frequent class is what nnU-Net calls background; void is its ignore label. Images go through the
trained network in its own windows, in float32, without mirroring. What is told beside `contest`: "memory", of the GPU
that its planner takes there to be, in GB; 8 is what it takes by itself.
"""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from benchmarks.peers import contest

NAME, PLANS, KIND = "Dataset001_neutral", "nnUNetPlans", "2d"
CPU = torch.device("cpu")
CLIP = 12
"""Of the gradient's norm, as nnUNetTrainer has it."""


def prepare(told):
    """Data as nnU-Net wants them, its plan, and what its preprocessing makes of them."""
    write_raw(told, Path(nnUNet_raw, NAME))
    program = Path(sys.executable).parent / "nnUNetv2_plan_and_preprocess"
    cores = str(told["cores"])
    options = ["-d", "1", "-c", KIND, "-np", cores, "-npfp", cores, "-gpu_memory_target", str(told["memory"])]
    subprocess.run([str(program), *options, "-overwrite_plans_name", PLANS], check=True)


def write_raw(told, folder):
    order = classes_by_share(told)
    images, labels = (contest.files(told["data"], "train", part) for part in ("images", "labels"))
    (folder / "imagesTr").mkdir(parents=True)
    for path in images:
        shutil.copy(path, folder / "imagesTr" / f"{path.stem}_0000.png")
    voids = [write_label(path, folder / "labelsTr", order) for path in labels]
    names = {"background": 0, **{f"class{number}": place for place, number in enumerate(order.tolist()) if place}}
    content = {
        "channel_names": {str(band): f"band{band}" for band in range(contest.facts(told["data"])["bands"])},
        "labels": {**names, **({"ignore": len(order)} if any(voids) else {})},
        "numTraining": len(images),
        "file_ending": ".png",
        "overwrite_image_reader_writer": NaturalImage2DIO.__name__,
    }
    (folder / "dataset.json").write_text(json.dumps(content))


def write_label(path, folder, order):
    """Whether it has void."""
    places = np.full(256, len(order), np.uint8)
    places[order] = np.arange(len(order))
    label = contest.read(path)
    contest.write(folder / path.name, places[label])
    return bool((label == contest.IGNORE).any())


def classes_by_share(told):
    """Their numbers, that with most pixels first: where nnU-Net has them."""
    labels = map(contest.read, contest.files(told["data"], "train", "labels"))
    counts = sum(np.bincount(label.ravel(), minlength=256) for label in labels)
    return np.argsort(-counts[: len(contest.facts(told["data"])["classes"])], kind="stable")


class Timed(nnUNetTrainer):
    """Trains for a time. `told` is to be set."""

    told: dict
    steps = 0

    def run_training(self):
        self.on_train_start()
        self.network.train()
        for share in contest.shares(self.told["began"], self.told["until"]):
            for group in self.optimizer.param_groups:
                group["lr"] = self.initial_lr * contest.poly(share)
            self.train_step(next(self.dataloader_train))
            self.steps += 1
        self.on_train_end()

    def train_step(self, batch):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.told["precision"] == "bfloat16"):
            outputs = self.network(batch["data"])
        loss = self.loss([output.float() for output in outputs], batch["target"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimizer.step()
        return {"loss": loss.item()}


def trainer(told):
    torch.set_num_threads(told["cores"])
    torch.manual_seed(told["seed"])
    np.random.seed(told["seed"])
    folder = Path(nnUNet_preprocessed, NAME)
    plans, data = (json.loads((folder / name).read_text()) for name in (f"{PLANS}.json", "dataset.json"))
    made = Timed({**plans, "continue_training": False}, KIND, "all", data, device=CPU)
    made.told = told
    made.initialize()
    return made


def train(told):
    made = trainer(told)
    made.run_training()
    versions = {name: importlib.metadata.version(name) for name in ("torch", "nnunetv2")}
    patch = made.configuration_manager.patch_size
    contest.write_trained(told, made.steps, made.batch_size, patch, made.network, versions)


def label(told):
    made, order = trainer(told), classes_by_share(told).astype(np.uint8)
    made.load_checkpoint(str(Path(made.output_folder, "checkpoint_final.pth")))
    made.set_deep_supervision_enabled(False)
    weights = [made.network.state_dict()]
    predictor = nnUNetPredictor(use_mirroring=False, device=CPU, allow_tqdm=False)
    predictor.manual_initialization(
        made.network, made.plans_manager, made.configuration_manager, weights, made.dataset_json, "", None
    )

    def classes(path):
        image, properties = NaturalImage2DIO().read_images([str(path)])
        return order[predictor.predict_single_npy_array(image, properties)[0]]

    contest.write_labels(told, classes)


if __name__ == "__main__":
    contest.main(prepare=prepare, train=train, label=label)
