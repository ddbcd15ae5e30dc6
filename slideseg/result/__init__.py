"""What a result is: its arrays, their bytes, its metadata, and how it is finished."""
