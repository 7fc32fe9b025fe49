"""What a run leaves on disk: its folder, checkpoints and weights, and the figures that it has reached."""
