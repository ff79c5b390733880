"""Figures and moving pictures."""
