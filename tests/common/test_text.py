"""Figures and lists as text."""

import pytest

from did_tf.common.text import listed, span


def test_names_stand_between_spaces_or_where_they_have_some_between_commas():
    assert listed(" runs/a  runs/b ") == ["runs/a", "runs/b"]
    assert listed("runs/a, runs/b ü,") == ["runs/a", "runs/b ü"]
    assert listed("") == []


@pytest.mark.parametrize(
    "numbers, told",
    [
        ((0, 1, 2), "0 to 2"),
        ((255, 0), "0, 255"),
        ((7, 26, 40, 41, 3), "3, 7, 26, 40, 41"),
        ((1, 2, 3, 4, 5, 9), "6 from 1 to 9"),
    ],
)
def test_ids_are_not_said_to_be_all_between(numbers, told):
    assert span(numbers) == told
