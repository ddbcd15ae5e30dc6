"""What tests and users share: synthetic slides and small models."""
