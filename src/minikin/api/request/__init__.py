"""Turns a decoded JSON body into a frozen request, by rules that are data."""
