"""Commands on data sets, a module each: `did_tf data`, `describe-data`, `check-data`; and `prepare` by a data set's name."""
