"""Pages of the documentation, played: every command line and every block of Python is run, in order."""
