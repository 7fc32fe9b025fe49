"""Published data sets, a module each, all read in one way; and drawn scenes, which need no files."""
