"""Advice on what to install goes by how did_tf is here."""

import pytest

from data_pipelines import extras


@pytest.mark.parametrize(
    ("files", "stands", "told"),
    [
        (["setup.py"], ".", "pip install -e '.[crf]'"),
        (["setup.py", "sub/file"], "sub", "pip install -e '{root}[crf]'"),
        ([], ".", "pip install 'did_tf[crf]'"),
    ],
)
def test_a_checkout_is_installed_where_it_is(monkeypatch, tmp_path, files, stands, told):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.setattr(extras, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path / stands)
    assert extras.install("crf") == told.format(root=tmp_path)
