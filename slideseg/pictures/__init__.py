"""What a result looks like."""
