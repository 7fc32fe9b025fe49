import threading

import pytest

from did_tf.common.streams import side_by_side


@pytest.mark.parametrize("streams", [1, 2, 3, 9])
def test_results_come_in_the_order_of_the_things(streams):
    found = [(thing, get()) for thing, get in side_by_side(lambda number: number**2, range(7), streams)]
    assert found == [(number, number**2) for number in range(7)]


def test_as_many_are_under_way_as_there_are_streams():
    together = threading.Barrier(3, timeout=10)  # breaks unless three wait at once
    assert len([get() for _, get in side_by_side(lambda _: together.wait(), range(6), 3)]) == 6


@pytest.mark.parametrize("streams", [1, 3])
def test_no_more_are_under_way_or_waiting(streams):
    begun = []
    for number, (_, get) in enumerate(side_by_side(begun.append, range(20), streams)):
        get()
        assert len(begun) <= number + streams


@pytest.mark.parametrize("streams", [1, 2])
def test_an_error_is_that_of_its_thing_and_the_others_have_theirs(streams):
    found = []
    for thing, get in side_by_side(lambda number: 6 // number, (3, 0, 2), streams):
        if thing == 0:
            with pytest.raises(ZeroDivisionError):
                get()
        else:
            found.append(get())
    assert found == [2, 3]


def test_whoever_stops_is_not_kept_waiting_by_what_has_not_begun():
    begun = []
    for _, get in side_by_side(begun.append, range(100), 2):
        get()
        break
    assert len(begun) <= 4
