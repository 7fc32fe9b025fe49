"""Each system's own CamVid experiment on the real frames: the loss falls, it is scored and exported."""

import os

import program
import pytest

from did_tf.runs.run_folder import RunFolder, read_metrics

SYSTEMS = ("did", "ladder121", "duc", "fcrn50", "sunet64", "fcdensenet103")
SMALL = {"data.crop": "(129,129)", "train.steps": 30, "train.log_every": 10, "schedule.warmup": 15}
FASTER = {"train.precision": "bfloat16", "dataset.val_split": ""}
CAMVID = os.environ.get("DID_TF_CAMVID")


@pytest.mark.slow
@pytest.mark.skipif(not CAMVID, reason="set DID_TF_CAMVID to the folder of the real CamVid")
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_trains_on_camvid(system, tmp_path):
    run = RunFolder(tmp_path / "run")
    common = [f"--experiment={system}_camvid", f"--run={run.folder}", f"--data={CAMVID}"]
    settings = [f"--config.{key}={value}" for key, value in {**SMALL, **FASTER}.items()]
    succeed("train", *common, *settings)
    losses = [float(row["loss"]) for row in read_metrics(run.metrics)]
    assert min(losses[1:]) < 0.95 * losses[0]
    assert "mIoU" in succeed("evaluate", *common, "--limit=2", "--protocol=whole")
    succeed("export", *common)
    assert (run.saved_model / "saved_model.pb").is_file()


def succeed(name, *arguments):
    done = program.launch(name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout
