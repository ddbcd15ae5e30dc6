"""Images and labels: found, split, opened, read as windows."""
