"""Turns text into token ids and back, as each model's file defines it."""
