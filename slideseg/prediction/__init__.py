"""From slides to class maps."""
