"""The parts of scripts/compare: servers and how they are run, what is measured, tables and the page."""
