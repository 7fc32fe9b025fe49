"""Street scenes with CamVid's classes, drawn at run time: what `synthetic` consists of."""
