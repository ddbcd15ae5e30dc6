"""Pictures of the web and of cameras: PNG and JPEG."""
