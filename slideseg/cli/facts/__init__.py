"""What `slideseg info` says of folders and of results."""
