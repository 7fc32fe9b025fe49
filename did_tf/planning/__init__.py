"""What to train on given data, on a given machine, in a given time: looked up, reckoned, measured, and written down."""
