import pytest

from did_tf.common.errors import ConfigError
from did_tf.runs import temperature
from did_tf.runs.run_folder import RunFolder


def test_a_temperature_is_read_for_the_weights_that_it_is_of(tmp_path):
    run = RunFolder(tmp_path)
    whole, tiles = (temperature.file_of(run, protocol, "val") for protocol in ("whole", "tiles"))
    assert whole == run.evaluation / "val_calibration.json"
    assert tiles == run.evaluation / "tiles" / "val_calibration.json"
    with pytest.raises(ConfigError, match="no temperature of this run, .*val_calibration.json: `did_tf evaluate --cal"):
        temperature.read(whole, "a")
    with pytest.raises(ConfigError, match="evaluate --calibration --protocol=tiles` on the validation split"):
        temperature.read(tiles, "a", protocol="tiles")
    temperature.write(whole, "val", "whole", "a", {"temperature": 1.25})
    assert temperature.read(whole, "a") == 1.25
    with pytest.raises(ConfigError, match="is of other weights than these"):
        temperature.read(whole, "b")
    assert temperature.read(whole, "a", {"evaluate.flip": True}) == 1.25  # the file is of an older version
    temperature.write(whole, "val", "whole", "a", {"temperature": 1.5}, {"evaluate.flip": False})
    assert temperature.read(whole, "a", {"evaluate.flip": False}) == 1.5
    with pytest.raises(
        ConfigError, match="is of evaluate.flip False, and here it is True: put that back; or, with it, `did"
    ):
        temperature.read(whole, "a", {"evaluate.flip": True})
    temperature.write(whole, "val", "whole", "a", {"temperature": 1.5}, {"evaluate.flip": True})
    with pytest.raises(
        ConfigError, match="flip True, and what is exported has False: with --config.evaluate.flip=False `did_tf evalua"
    ):
        temperature.read(whole, "a", {"evaluate.flip": False}, alone=True)


@pytest.mark.parametrize("value", [0, -1.5, "2", None, True, 1e300])
def test_what_is_no_temperature_is_damage(value, tmp_path):
    temperature.write(tmp_path / "t.json", "val", "whole", "a", {"temperature": value})
    with pytest.raises(ConfigError, match="t.json is damaged: its temperature is"):
        temperature.read(tmp_path / "t.json", "a")
