"""Measurements anyone can rerun, one command each."""
