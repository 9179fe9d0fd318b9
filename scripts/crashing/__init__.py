"""The parts of `scripts/crash`."""
