import numpy as np
import pytest

from data_pipelines.spec import DatasetSpec
from did_tf.common.readout import Readout, readout_of
from did_tf.inference.confidence import MEASURES, sureness

CERTAIN, EVEN, BETWEEN = (0, 1, 0), (1 / 3, 1 / 3, 1 / 3), (0.5, 0.3, 0.2)


def measured(name, *probabilities):
    values = np.array([probabilities], np.float32)
    values.flags.writeable = False  # as a predictor's may be
    found = MEASURES[name](values)
    assert found.dtype == np.float32 and found.shape == (1, len(probabilities))
    return found[0].tolist()


def test_measures_worked_out_by_hand():
    entropy = -(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2)) / np.log(3)
    assert measured("confidence", CERTAIN, EVEN, BETWEEN) == pytest.approx([1, 1 / 3, 0.5])
    assert measured("entropy", CERTAIN, EVEN, BETWEEN) == pytest.approx([0, 1, entropy])
    assert measured("margin", CERTAIN, EVEN, BETWEEN) == pytest.approx([1, 0, 0.2])


@pytest.mark.parametrize("name", MEASURES)
def test_nothing_is_known_where_there_are_no_data(name):
    found = measured(name, [np.nan] * 3, CERTAIN)
    assert np.isnan(found[0]) and not np.isnan(found[1])


@pytest.mark.parametrize("name", MEASURES)
def test_in_range_also_where_probabilities_are_rounded(name):
    rounded = np.float32(1 / 7) + np.float32(1e-6)
    assert 0 <= measured(name, [rounded] * 7)[0] <= 1


def test_of_regions_the_least_sure_one_counts():
    values = np.array([[0.9, 0.45], [0.2, 0.01], [np.nan, np.nan]], np.float32)
    found = {name: sureness(name, values, Readout(((1, 2), (2,)), (1, 2))) for name in MEASURES}
    entropies = [-(p * np.log2(p) + (1 - p) * np.log2(1 - p)) for p in (0.45, 0.2)]
    assert found["confidence"][:2].tolist() == pytest.approx([0.55, 0.8])
    assert found["entropy"][:2].tolist() == pytest.approx(entropies, rel=1e-5)
    assert found["margin"][:2].tolist() == pytest.approx([0.1, 0.6], rel=1e-5)
    assert all(np.isnan(part[2]) and part.dtype == np.float32 for part in found.values())


def test_confidence_is_that_of_the_class_which_is_written():
    """Also where the network is sure of what no class says: of core without whole, or of a set that is none."""
    nested = Readout(((1, 2), (2,)), (1, 2))
    assert sureness("confidence", np.float32([[0.05, 0.95]]), nested) == pytest.approx([0.05])
    names = ("ground", "roof", "shadow", "snow", "shaded roof")
    regions = (("roof", (1, 4)), ("shadow", (2, 4)), ("snow", (3,)))
    spec = DatasetSpec("drawn", names, ((0, 0, 0),) * 5, {}, (0.0,), (1.0,), regions=regions)
    values = np.float32([[0.95, 0.95, 0.95], [0.95, 0.95, 0.05], [0.1, 0.2, 0.3], [0.9, 0.4, 0.2]])
    assert readout_of(spec).classes(values).tolist() == [4, 4, 0, 1]
    assert sureness("confidence", values, readout_of(spec)) == pytest.approx([0.05, 0.95, 0.7, 0.6])


def test_one_class_alone_is_certain():
    assert [measured(name, [1.0])[0] for name in ("confidence", "entropy", "margin")] == [1, 0, 1]
