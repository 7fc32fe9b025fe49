"""Registry of data sets: `load(name, ...)`. Everything about data lives here; nothing of did_tf is imported."""

import inspect

from data_pipelines.camvid import CamVid
from data_pipelines.spec import IGNORE, DataError, Dataset, DatasetSpec, Sample
from data_pipelines.synthetic import Synthetic

__all__ = ["IGNORE", "DataError", "Dataset", "DatasetSpec", "Sample", "load", "names", "spec_of"]

_DATASETS = {"camvid": CamVid, "synthetic": Synthetic}


def names():
    """Names that `load` takes."""
    return sorted(_DATASETS)


def load(name, folder=None, **options):
    """Data set `name`.

    Args:
      name: one of `names()`.
      folder: where its files are; default `data/NAME`. Data sets that need no files ignore it.
      **options: of the data set's class.

    Raises:
      DataError: unknown name or option, or no data in the folder (the message says how to get them).
    """
    known = _options(name, options)
    if "folder" in known:
        options["folder"] = folder or f"data/{name}"
    return _DATASETS[name](**options)


def spec_of(name, folder=None, **options):
    """`DatasetSpec` of data set `name`; its files need not be there unless it is made from them. As for `load`."""
    _options(name, options)
    return getattr(_DATASETS[name], "spec", None) or load(name, folder, **options).spec


def _options(name, chosen):
    """The options that data set `name` takes. Raises `DataError` where it, or one of those chosen, is unknown."""
    if name not in _DATASETS:
        raise DataError(f"unknown dataset {name!r}; known: {', '.join(names())}")
    known = inspect.signature(_DATASETS[name]).parameters
    for key in chosen:
        if key not in known:
            raise DataError(f"dataset {name!r} has no option {key!r}; known: {', '.join(known)}")
    return known
