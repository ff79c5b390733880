"""Configuration, files and plans."""
