"""Figures and lists as text."""

from did_tf.common.text import listed


def test_names_stand_between_spaces_or_where_they_have_some_between_commas():
    assert listed(" runs/a  runs/b ") == ["runs/a", "runs/b"]
    assert listed("runs/a, runs/b ü,") == ["runs/a", "runs/b ü"]
    assert listed("") == []
