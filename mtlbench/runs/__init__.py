"""One run: its request, its parts, its course, its checkpoints."""
