"""Which settings are best: trials within a time, each a run, the next proposed by what the former ones gave."""
