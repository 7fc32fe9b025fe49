"""What is measured on GPUs, of which there are none here."""

from benchmarks import gpu
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder
from did_tf.training.distribution import PRECISIONS


def test_all_precisions_xla_and_gpus_are_compared_with_settings_that_exist():
    groups = gpu.comparisons(4)
    assert [len(groups[f"DID, training, {precision}"]) for precision in PRECISIONS] == [2] * len(PRECISIONS)
    assert [case.images for case in groups["DID, training, several GPUs"]] == [22, 88, 88]
    assert "DID, training, several GPUs" not in gpu.comparisons(1)
    for case in [case for cases in groups.values() for case in cases]:
        settings = [f"--config.{key}={value}" for key, value in case.told["settings"].items()]
        config = cli.resolve(case.told["experiment"], RunFolder("nowhere"), settings)
        assert case.told["kind"] == "inference" or config["train"]["batch_size"] == case.images


def test_xla_differs_in_its_setting_alone():
    plain, xla = gpu.comparisons(1)["DID, training, bfloat16"]
    assert {*plain.told["settings"].items()} ^ {*xla.told["settings"].items()} == {
        ("train.jit_compile", False),
        ("train.jit_compile", True),
    }
    assert plain.environment == xla.environment
