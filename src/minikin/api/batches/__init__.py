"""Runs batches in the background: reads their lines, runs them, and writes their results."""
