"""Skerry and plain Linux measured in turn, in one run, and what came of it as a table, JSON lines and a plot."""
