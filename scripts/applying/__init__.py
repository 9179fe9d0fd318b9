"""Applications of others, run on Keytide: see scripts/applications."""
