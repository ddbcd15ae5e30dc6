"""Slides that a process beside this one decodes, so that a decoder that crashes takes nothing else along."""
