"""Look at what slideseg needs of the place where it runs, and say what to mend."""
