"""How far long work has come: a bar where standard error is a terminal, else plain lines that a log file can hold."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from tqdm import tqdm

LINES = 10  # that `track` prints where there is no terminal

T = TypeVar("T")


class Progress:
    """The progress of `total` pieces of work, `done` of which were there before. With `quiet` there is neither bar nor
    line of its state."""

    def __init__(self, name: str, total: int, unit: str, quiet: bool = False, done: int = 0):
        self.name, self.total, self.quiet, self.first, self.done = name, total, quiet, done, done
        self.begun = time.monotonic()
        bar = sys.stderr.isatty() and not quiet
        self.bar = tqdm(total=total, initial=done, desc=name, unit=unit, dynamic_ncols=True, disable=not bar)

    def update(self) -> None:
        """One more piece is done."""
        self.done += 1
        self.bar.update()

    def state(self, state: str) -> None:
        """How things stand: beside the bar, or as a line of its own with the time left, from the pieces done so far."""
        if not self.bar.disable:
            self.bar.set_postfix_str(state)
        elif not self.quiet:
            left = (time.monotonic() - self.begun) / (self.done - self.first) * (self.total - self.done)
            self.say(f"{state}, {tqdm.format_interval(left)} left")

    def say(self, what: str) -> None:
        """A line, also when quiet. Work goes on where it cannot be written: its log may be on a full disk."""
        with suppress(OSError):
            tqdm.write(f"{self.name}: {what}", file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        self.bar.close()


def track(pieces: Sequence[T], name: str, unit: str, quiet: bool = False) -> Iterator[T]:
    """Each of `pieces` in turn, saying how many are done: the bar does, or at most `LINES` lines."""
    spoken = {-(-len(pieces) * i // LINES) for i in range(1, LINES + 1)}
    progress = Progress(name, len(pieces), unit, quiet)
    for piece in pieces:
        yield piece
        progress.update()
        if progress.done in spoken and progress.bar.disable:
            progress.state(f"{unit} {progress.done} of {len(pieces)}")
    progress.close()
