import pytest

from data_pipelines.spec import DataError
from did_tf.common.damage import Damage


def collected(**messages):
    damage = Damage()
    for name, message in messages.items():
        with damage.of(name):
            if message:
                raise DataError(message)
    return damage


def test_without_damage_nothing_is_told(capsys):
    collected(a="", b="").tell("mend them")
    assert capsys.readouterr() == ("", "")


def test_one_image_is_told_in_the_error(capsys):
    with pytest.raises(DataError, match="^b: cut in\nthe middle; mend it$".replace("\n", " ")):
        collected(a="", b="cut in\nthe middle").tell("mend it")
    assert capsys.readouterr() == ("", "")


def test_several_have_a_line_each(capsys):
    damage = collected(b="cut", a="empty", c="")
    assert damage.reasons == {"a": "empty", "b": "cut"}
    with pytest.raises(DataError, match="^2 images can't be read, listed above: mend them$"):
        damage.tell("mend them")
    assert capsys.readouterr().err == "a: empty\nb: cut\n"


def test_other_errors_are_not_kept():
    with pytest.raises(OSError), Damage().of("a"):
        raise OSError
