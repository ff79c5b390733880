"""Section 2 of the paper: data, networks, training, the measures of collapse. No file, no picture, no workflow."""
