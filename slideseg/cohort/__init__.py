"""Many results together: a row of numbers for each, and the page that a run over many slides leaves."""
