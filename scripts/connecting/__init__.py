"""The clients of scripts/clients, and the servers that they connect to."""
