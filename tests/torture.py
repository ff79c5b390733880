"""Break what can be broken, at toy size, and see whether a plain rerun mends it: `make torture`.

Every try does harm to a copy of the project, runs the same command again, and compares all artifacts byte for byte with
those of an undisturbed copy. What came of it is printed as a table and written to results/torture.md.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import determinism
import pandas as pd
import psutil
import workflow
from robustness.surroundings import SURROUNDINGS
from workflow import AWKWARD_NAME, PROJECT, RUN_FILES, timeless

from feature_collapse.workflow import artifacts

RUN, OTHER = "smoke/fig3/seed0", "smoke/fig4a/seed0"
MADE = [*(f"results/{RUN}/{name}" for name in RUN_FILES), "figures/smoke/figure3.pdf", "figures/smoke/figure3.png"]
COMMAND = ("snakemake", "--cores", "2", f"results/{RUN}/metrics.json", "figures/smoke/figure3.pdf")
QUICKLY = "CHECKPOINT_SECONDS = 0.05"
LONG = "smoke/fig3+epochs=600/seed0"  # long enough to be hit in the middle
TRAINED = ["weights.safetensors", "snapshots.safetensors", "history.csv", "run.json"]

# Each kind of artifact that a later job reads, with a verb that reads it.
READERS = {
    f"results/{RUN}/data.safetensors": ("train", RUN),
    f"results/{RUN}/weights.safetensors": ("features", RUN),
    f"results/{RUN}/snapshots.safetensors": ("explorer", "--scale", "smoke"),
    f"results/{RUN}/history.csv": ("features", RUN),
    f"results/{RUN}/run.json": ("features", RUN),
    f"results/{RUN}/features.safetensors": ("figure", "smoke/figure3"),
    f"results/{RUN}/metrics.json": ("reproduction", "--scale", "smoke"),
    "results/smoke/theory.csv": ("claims", "--scale", "smoke"),
    "results/smoke/enumeration.csv": ("claims", "--scale", "smoke"),
    "results/smoke/enumeration_gradients.csv": ("claims", "--scale", "smoke"),
    "results/smoke/certificate.csv": ("claims", "--scale", "smoke"),
}


@dataclass
class Outcome:
    """What came of the tries of one fault. A complaint is a try that was not survived."""

    tries: int = 0
    complaints: list[str] = field(default_factory=list)
    remark: str = ""

    def add(self, complaint: str) -> None:
        self.tries += 1
        self.complaints += [complaint] if complaint else []


class Rack:
    """The undisturbed project, the folder for copies of it, and the chances of a session."""

    def __init__(self, undisturbed: Path, base: Path, seed: int = 0):
        """`undisturbed` holds the finished toy workflow."""
        self.undisturbed, self.base, self.random = undisturbed, base, random.Random(seed)
        self.copies = 0

    @contextmanager
    def fresh(self, finished: bool = False, impatient: bool = True) -> Iterator[Path]:
        """A copy of the project, as cloned or `finished`; gone at the end. The `impatient` checkpoint all the time."""
        self.copies += 1
        folder = self.base / str(self.copies) / AWKWARD_NAME
        if finished:
            shutil.copytree(self.undisturbed, folder)
        else:
            workflow.copy_project(folder)
        if impatient and not finished:
            module = folder / "src/feature_collapse/stages/train.py"
            text, changed = re.subn("^CHECKPOINT_SECONDS = .*", QUICKLY, module.read_text("utf-8"), flags=re.MULTILINE)
            assert changed
            module.write_text(text, "utf-8")
        yield folder
        shutil.rmtree(folder.parent, ignore_errors=True)

    def differing(self, folder: Path, names: list[str]) -> str:
        """Which of the files are missing, or differ from the undisturbed; or lie about half-written."""
        wrong = [
            name
            for name in names
            if not (folder / name).exists() or timeless(folder / name) != timeless(self.undisturbed / name)
        ]
        wrong += [str(path.relative_to(folder)) for path in (folder / "results").rglob(".*")]
        return f"differs: {', '.join(wrong)}" if wrong else ""

    def rerun(self, folder: Path) -> str:
        """The command again, undisturbed. Returns what is wrong afterwards."""
        done = workflow.finish(workflow.start(folder, *COMMAND))
        return f"rerun failed: {done.stderr[-1500:]}" if done.returncode else self.differing(folder, MADE)


Fault = Callable[[Rack, int], Outcome]


def end(process: subprocess.Popen, alone: bool = False) -> bool:
    """Kill a process with all that it has started, or alone. Returns False where it had ended before."""
    with suppress(ProcessLookupError):
        process.kill() if alone else os.killpg(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


# The faults. Each takes a rack and a number of tries, and returns the outcome.


def killed_training(rack: Rack, tries: int) -> Outcome:
    """SIGKILL at a random moment of training, then the same command again."""

    def wait_for_an_epoch(folder: Path, process: subprocess.Popen) -> None:
        for _ in range(rack.random.randrange(31)):  # it writes 30 lines
            process.stderr.readline()
        time.sleep(rack.random.uniform(0, 0.1))

    return _kill_training(rack, tries, wait_for_an_epoch)


def killed_writing(rack: Rack, tries: int) -> Outcome:
    """SIGKILL while a file is being written: a checkpoint, or one of the artifacts at the end."""

    def wait_for_a_write(folder: Path, process: subprocess.Popen) -> None:
        name = rack.random.choice([".checkpoint.*", ".weights.*", ".snapshots.*", ".history.*", ".run.*"])
        while not list(folder.glob(name)) and process.poll() is None:
            pass

    return _kill_training(rack, tries, wait_for_a_write)


def _kill_training(rack: Rack, tries: int, wait: Callable[[Path, subprocess.Popen], None]) -> Outcome:
    outcome, resumed, half = Outcome(), 0, 0
    with rack.fresh(impatient=False) as undisturbed:
        for verb in ("data", "train"):
            done = workflow.typed(undisturbed, verb, LONG)
            assert done.returncode == 0, done.stderr
        whole = undisturbed / "results" / LONG
        while outcome.tries < tries:
            with rack.fresh() as project:
                folder = project / "results" / LONG
                folder.mkdir(parents=True)
                shutil.copy(whole / "data.safetensors", folder)
                process = workflow.start(project, "feature_collapse", "train", LONG)
                wait(folder, process)
                if not end(process):
                    continue
                half += bool(list(folder.glob(".*")))
                again = workflow.typed(project, "train", LONG)
                resumed += "going on from epoch" in again.stderr
                wrong = [name for name in TRAINED if timeless(folder / name) != timeless(whole / name)]
                litter = sorted({path.name for path in folder.iterdir()} - {"data.safetensors", *TRAINED})
                outcome.add(f"{again.stderr} {wrong} {litter}" if again.returncode or wrong or litter else "")
    outcome.remark = f"{resumed} went on from a checkpoint, {half} had left a half-written file"
    return outcome


def killed_snakemake(rack: Rack, tries: int) -> Outcome:
    """SIGKILL of Snakemake at a random moment: with all its jobs, or alone."""
    outcome = Outcome()
    while outcome.tries < tries:
        with rack.fresh() as project:
            process = workflow.start(project, *COMMAND)
            _wait_for_a_job(rack, project, process)
            if not end(process, alone=outcome.tries % 2 == 1):
                continue
            complaint = rack.rerun(project)
            process.communicate()  # until the last of its jobs has ended
            outcome.add(complaint or rack.differing(project, MADE))
    outcome.remark = "in turn with its jobs, and alone: its jobs then went on beside the rerun"
    return outcome


def _wait_for_a_job(rack: Rack, project: Path, process: subprocess.Popen) -> None:
    """Wait until a random file of the command is there, and a little longer."""
    awaited = project / rack.random.choice([*MADE, *(f"results/{RUN}/log/{verb}.log" for verb in ("data", "train"))])
    while not awaited.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(rack.random.uniform(0, 1))


def terminated_snakemake(rack: Rack, tries: int) -> Outcome:
    """SIGTERM to Snakemake and its jobs, as a cluster sends when it preempts."""
    outcome = Outcome()
    for _ in range(tries):
        with rack.fresh() as project:
            process = workflow.start(project, *COMMAND)
            _wait_for_a_job(rack, project, process)
            with suppress(ProcessLookupError):  # it was done before
                os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
            outcome.add(rack.rerun(project))
    return outcome


def killed_worker(rack: Rack, tries: int) -> Outcome:
    """SIGKILL of a job under Snakemake, as when memory runs out: Snakemake names the rule and ends."""
    outcome = Outcome()
    for _ in range(tries):
        with rack.fresh() as project:
            process = workflow.start(project, *COMMAND)
            workers: list[psutil.Process] = []
            while not workers and process.poll() is None:
                workers = _training_under(process)
                time.sleep(0.01)
            time.sleep(rack.random.uniform(0, 1))
            for worker in workers:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            done = workflow.finish(process)
            named = done.returncode != 0 and "Error in rule train" in done.stderr
            outcome.add(rack.rerun(project) if named or not done.returncode else f"rule not named: {done.stderr}")
    return outcome


def _training_under(process: subprocess.Popen) -> list[psutil.Process]:
    found = []
    with suppress(psutil.Error):  # one has just ended
        for child in psutil.Process(process.pid).children(recursive=True):
            found += [child] if child.cmdline()[1:4] == ["-m", "feature_collapse", "train"] else []
    return found


def two_at_once(rack: Rack, tries: int) -> Outcome:
    """Two Snakemakes in one folder: the second ends with a line about the first, or finds all done."""
    outcome, refused = Outcome(), 0
    for _ in range(tries):
        with rack.fresh() as project:
            first = workflow.start(project, *COMMAND)
            time.sleep(rack.random.uniform(0, 5))
            second = workflow.start(project, *COMMAND)
            done = [workflow.finish(first), workflow.finish(second)]
            locked = [process for process in done if "Directory cannot be locked" in process.stderr]
            refused += len(locked)
            failed = [process.stderr[-1500:] for process in done if process.returncode and process not in locked]
            outcome.add("; ".join(failed) or ("both refused" if len(locked) == 2 else rack.rerun(project)))
    outcome.remark = f"{refused} times one was refused"
    return outcome


def corrupted(rack: Rack, tries: int) -> Outcome:
    """Artifacts damaged in each way that is named below: the next job that reads one stops with one line naming it and
    the command that rebuilds it. That command then mends it."""
    outcome = Outcome()
    damages = {"truncated": _truncate, "a byte flipped": _flip_a_byte, "swapped": _swap, "empty": _empty}
    cases = list(product(READERS, damages))
    rack.random.shuffle(cases)
    with rack.fresh(finished=True) as project:
        for name, damage in (cases * (1 + tries // len(cases)))[:tries]:
            path, kept = project / name, (project / name).read_bytes()
            damages[damage](project, path, rack.random)
            done = workflow.typed(project, *READERS[name])
            told = [line for line in done.stderr.splitlines() if line.startswith(f"error: {name}: ")]
            command = f"snakemake --cores all --force {name}"
            stopped = done.returncode == 2 and len(told) == 1 and command in told[0] and "Traceback" not in done.stderr
            outcome.add("" if stopped else f"{name} {damage}: {done.stderr[-1500:]}")
            path.write_bytes(kept)
    outcome.remark = f"{', '.join(damages)}; of {len(READERS)} kinds of artifact"
    return outcome


def mended(rack: Rack, tries: int) -> Outcome:
    """A damaged artifact, the command that the line about it names, and the usual command again."""
    outcome, names = Outcome(), [name for name in READERS if name in MADE]
    for i in range(tries):
        name = names[i % len(names)]
        with rack.fresh(finished=True) as project:
            _flip_a_byte(project, project / name, rack.random)
            told = workflow.typed(project, *READERS[name]).stderr
            command = told.rpartition("rebuild it with: ")[2].split()
            rebuilt = workflow.finish(workflow.start(project, *command))
            outcome.add(rack.rerun(project) if not rebuilt.returncode else rebuilt.stderr[-1500:])
    return outcome


def damaged_checkpoint(rack: Rack, tries: int) -> Outcome:
    """A checkpoint truncated, flipped, foreign or empty: training begins anew and says so."""
    outcome, damages = Outcome(), [_truncate, _flip_a_byte, _swap, _empty]
    with rack.fresh() as project:
        prepared = workflow.typed(project, "data", RUN), workflow.typed(project, "data", OTHER)
        assert not any(done.returncode for done in prepared)
        for i in range(tries):
            checkpoint = project / "results" / RUN / "checkpoint.safetensors"
            for run in (RUN, OTHER):
                _leave_a_checkpoint(project, run)
            damages[i % 4](project, checkpoint, rack.random)
            done = workflow.typed(project, "train", RUN)
            wrong = done.returncode or "starting anew: " not in done.stderr
            made = [f"results/{RUN}/{name}" for name in TRAINED]
            outcome.add(done.stderr if wrong else rack.differing(project, made))
    return outcome


def _leave_a_checkpoint(project: Path, run: str) -> None:
    checkpoint = project / "results" / run / "checkpoint.safetensors"
    while not checkpoint.exists():
        process = workflow.start(project, "feature_collapse", "train", run, "--quiet")
        while not checkpoint.exists() and process.poll() is None:
            pass
        end(process)


def _truncate(project: Path, path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(1, len(content) - 1)])


def _flip_a_byte(project: Path, path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content) - 1)] ^= 0x55  # never white space for white space
    path.write_bytes(content)


def _swap(project: Path, path: Path, chance: random.Random) -> None:
    """With the same file of another run; a table, with another table."""
    tables = [project / name for name in READERS if name.endswith(".csv") and RUN not in name]
    others = [table for table in tables if table != path] if path in tables else [Path(str(path).replace(RUN, OTHER))]
    path.write_bytes(chance.choice(others).read_bytes())


def _empty(project: Path, path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


class Skipped(Exception):
    """A fault that this machine cannot make."""


@contextmanager
def _disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A small disk in memory at a folder, which is emptied first."""
    content = folder.with_name("content")
    folder.rename(content)
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        raise Skipped("only root may mount a small disk, and not everywhere")
    try:
        shutil.copytree(content, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def full_disk(rack: Rack, tries: int) -> Outcome:
    """The whole project on a small disk that is nearly full; then it has room again."""
    outcome, failed = Outcome(), 0
    for _ in range(tries):
        with rack.fresh() as project, _disk(project, 8):
            free = shutil.disk_usage(project).free
            with open(project / "filler", "wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, free - rack.random.randrange(400_000))
            done = workflow.finish(workflow.start(project, *COMMAND))
            (project / "filler").unlink()
            failed += bool(done.returncode)
            logs = [path.read_text("utf-8", "replace") for path in (project / "results").rglob("*.log")]
            told = "No space left on device" in done.stderr + "".join(logs)
            quiet = (done.returncode and not told) or any("Traceback" in log for log in logs)
            outcome.add(f"not told: {done.stderr[-1500:]} {logs}" if quiet else rack.rerun(project))
    outcome.remark = f"{failed} ended with 'No space left on device'; the others had room enough"
    return outcome


def read_only(rack: Rack, tries: int) -> Outcome:
    """A results folder that cannot be written; then it can."""
    outcome = Outcome()
    for _ in range(tries):
        with rack.fresh() as project:
            results = project / "results"
            results.mkdir()
            with _disk(results, 8):
                subprocess.run(["mount", "-o", "remount,ro", str(results)], check=True)
                done = workflow.finish(workflow.start(project, *COMMAND))
                subprocess.run(["mount", "-o", "remount,rw", str(results)], check=True)
                told = done.returncode and "Read-only file system" in done.stderr
                outcome.add(rack.rerun(project) if told else f"not told: {done.stderr[-1500:]}")
    return outcome


def odd_surroundings(rack: Rack, tries: int) -> Outcome:
    """The whole toy workflow in surroundings that should not matter."""
    outcome = Outcome()
    names = list(determinism.made(rack.undisturbed))
    for name, surroundings in list(SURROUNDINGS.items())[:tries]:
        with rack.fresh() as project:
            command = ("snakemake", "--cores", "2", *surroundings.arguments, "--", "smoke")
            variables = surroundings.prepare(project.parent / "home")
            done = workflow.finish(workflow.start(project, *command, prefix=surroundings.prefix, **variables))
            complaint = done.stderr[-1500:] if done.returncode else rack.differing(project, names)
            outcome.add(f"{name}: {complaint}" if complaint else "")
            outcome.remark += f"{name}; "
    return outcome


def jumping_clock(rack: Rack, tries: int) -> Outcome:
    """A clock that is set back by a month in the middle, so that what is there is from the future. Results are made use
    of all the same; sources from the future are refused as clock skew until the clock is right."""
    outcome = Outcome()
    for _ in range(tries):
        with rack.fresh() as project:
            half = workflow.finish(workflow.start(project, *COMMAND[:3], rack.random.choice(MADE[:2])))
            assert half.returncode == 0, half.stderr
            _age(project / "results", -30)
            complaint = rack.rerun(project)
        with rack.fresh() as project:
            _age(project / "src", -30)
            done = workflow.finish(workflow.start(project, *COMMAND))
            told = done.returncode and "This could indicate a clock skew problem" in done.stderr
            _age(project / "src", 30)
            outcome.add(complaint or (rack.rerun(project) if told else f"not told: {done.stderr[-1500:]}"))
    return outcome


def _age(folder: Path, days: float) -> None:
    for path in folder.rglob("*"):
        changed = path.stat().st_mtime - days * 24 * 3600
        os.utime(path, (changed, changed))


def diverging(rack: Rack, tries: int) -> Outcome:
    """A loss that is soon not finite: training ends, names the step and the settings, and nothing counts as done."""
    outcome = Outcome()
    for _ in range(tries):
        with rack.fresh() as project:
            settings = project / workflow.SETTINGS
            kept = settings.read_bytes()
            workflow.edit_settings(project, lambda file: file["scales"]["smoke"]["override"].update(lr=1000.0))
            workflow.edit_settings(project, lambda file: file["defaults"].update(init_scale_W=1000, init_scale_U=1000))
            done = workflow.finish(workflow.start(project, *COMMAND))
            log = (project / "results" / RUN / "log/train.log").read_text("utf-8")
            told = done.returncode and re.search(
                r"^error: .* not finite at step|^error: .* the loss is \w+ at step", log, re.M
            )
            done_though = [name for name in TRAINED if (project / "results" / RUN / name).exists()]
            settings.write_bytes(kept)
            outcome.add(rack.rerun(project) if told and not done_though else f"{log[-500:]} {done_though}")
    return outcome


FAULTS = {
    killed_training: 30,
    killed_writing: 10,
    killed_snakemake: 10,
    terminated_snakemake: 4,
    killed_worker: 3,
    two_at_once: 3,
    corrupted: len(READERS) * 4,
    mended: 6,
    damaged_checkpoint: 4,
    full_disk: 6,
    read_only: 1,
    odd_surroundings: len(SURROUNDINGS),
    jumping_clock: 2,
    diverging: 1,
}


def inflict(fault: Fault, tries: int, undisturbed: Path, base: Path) -> Outcome:
    """One fault, with a rack of its own."""
    try:
        return fault(Rack(undisturbed, base / fault.__name__), tries)
    except Skipped as reason:
        return Outcome(remark=f"skipped: {reason}")


def main(share: float = 1) -> int:
    """All faults, each with that share of its tries, two at a time."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as base, ThreadPoolExecutor(2) as pool:
        undisturbed = workflow.copy_project(Path(base) / "undisturbed" / AWKWARD_NAME)
        done = workflow.snakemake(undisturbed, "--cores", "2", "smoke")
        assert done.returncode == 0, done.stderr
        jobs = {
            fault: pool.submit(inflict, fault, max(1, round(share * tries)), undisturbed, Path(base))
            for fault, tries in FAULTS.items()
        }
        rows = []
        for fault, job in jobs.items():
            outcome, what = job.result(), " ".join(fault.__doc__.split())
            print(f"{fault.__name__}: {outcome.tries - len(outcome.complaints)} of {outcome.tries}", file=sys.stderr)
            print(*outcome.complaints, sep="\n", file=sys.stderr)
            survived = outcome.tries - len(outcome.complaints)
            rows.append(
                {"fault": what, "tries": outcome.tries, "survived": survived, "remark": outcome.remark.strip("; ")}
            )
    table = pd.DataFrame(rows).to_markdown(index=False)
    print(table, f"{(time.monotonic() - begun) / 60:.0f} minutes", sep="\n\n")
    with artifacts.atomic(PROJECT / "results/torture.md") as temporary:
        temporary.write_text(
            f"# Harm done, and survived\n\n{__doc__.partition(chr(10))[2].strip()}\n\n{table}\n", "utf-8"
        )
    return int(any(row["survived"] < row["tries"] for row in rows))


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])))
