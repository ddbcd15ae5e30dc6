"""Images that are compressed as one piece: read row by row, from the top, and copied before several workers want them."""
