"""The version of the arithmetic: which definition of data, training and measures the numbers of a run come from.

Raise it with every change after which the same settings and seed give other numbers. What was made with another version
is then made anew, and what was published with it is not used. It has a module of its own since reading it must not take
the seconds in which torch is imported.
"""

ARITHMETIC = 3
