"""The theorems as solvers, and what they predict."""
