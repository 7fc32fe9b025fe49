"""Faults done to trainings on purpose: `make fault-test`."""
