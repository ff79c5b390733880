"""Keep runs that were copied here from elsewhere.

Into a fresh clone copy the folder results/ of another and call this: Snakemake is told that those runs are up to date
whose files have the published bytes (as `verify` finds), and trains none of them again. All others are made anew, as
are figures and tables, of which nothing is published to compare with.

\b
Reads:    results/, docs/runs/, docs/checksums.csv
Writes:   the times of change of these runs, and Snakemake's records
Example:  python -m feature_collapse adopt
"""

import subprocess
import sys

from feature_collapse.stages.verify import Finding, Verdict, look, report
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.published import Published, made_here


def make(config: Config) -> None:
    """Have Snakemake touch the files that have the published bytes. Raises ArtifactError where what is published is
    damaged, and SystemExit where Snakemake fails."""
    findings = look(made_here(config), Published())
    print(report(findings), flush=True)
    kept = [finding for finding in findings if finding.verdict is Verdict.BYTES]
    if kept:
        # All that the files are made of is touched with them, and recorded. Without a file, everything would be.
        touch = ["snakemake", "--cores", "1", "--touch", "--forceall", "--quiet", "progress", "rules", "host", "reason"]
        files = [file for finding in kept for file in _kept_files(finding)]
        if subprocess.run([sys.executable, "-m", *touch, "--", *files]).returncode:
            raise SystemExit(1)
    print(f"Kept: {len(kept)} of {len(findings)} runs. Snakemake makes the rest anew.")


def _kept_files(finding: Finding) -> list[str]:
    """What the last rules have made that can be kept; features whose last digits are another machine's are not."""
    names = ["run.json", *(["metrics.json"] if "features.safetensors" in finding.same else [])]
    return [str(finding.run.folder / name) for name in names]
