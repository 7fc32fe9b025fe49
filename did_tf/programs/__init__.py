"""One thin file per command of `did_tf`, over `cli`: what it takes, and which parts it puts to work."""
