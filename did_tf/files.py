"""Files that are there whole or not at all, also after a crash: those of `data_pipelines.writing`."""

from data_pipelines.writing import write_file, write_json

__all__ = ["write_file", "write_json"]
