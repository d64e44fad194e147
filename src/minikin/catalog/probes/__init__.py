"""Checks that find out what a live server does."""
