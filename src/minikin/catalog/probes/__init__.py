"""Checks of what a live server does."""
