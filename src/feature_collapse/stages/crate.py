"""Archive a finished workflow as a Workflow RO-Crate.

The archive holds the workflow with its modules, its configuration and the lock of its environment; every figure and
table; and run.json of every run. Each file is described in ro-crate-metadata.json, and for readers in
ro-crate-preview.html.

\b
Reads:    CITATION.cff, the project, figures/[SCALE/], results/[SCALE/]
Writes:   results/[SCALE/]feature-collapse.crate.zip
Example:  python -m feature_collapse crate
"""

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.crate import contents, describe

NAME = "feature-collapse.crate.zip"


def make(scale: str, config: Config) -> None:
    """Archive a finished workflow at a scale ('' is full size): `results/[scale/]feature-collapse.crate.zip`.

    The same files give the same bytes: entries are sorted and carry no date. Raises ArtifactError or ConfigError as
    `contents` and `describe`.
    """
    crate = describe(contents(scale, config), scale)
    with TemporaryDirectory() as folder, artifacts.atomic(Path("results") / scale / NAME) as temporary:
        crate.write(folder)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())  # of 1980, since a date has to be given
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, path.read_bytes())
