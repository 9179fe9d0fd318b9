"""The parts of `scripts/replay`."""
