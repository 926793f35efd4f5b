"""Signals at seeded moments of a training run, on a machine whose cores are busy: how each process ends.

Usage: python benchmarks/stop.py [TRIES] [SEED]

Each try is a process of the command line that trains a tiny net on generated cells. When it says that it has come to
one of the phases below, SIGINT or SIGTERM follows after a random part of what that phase usually takes. The run must
end with exit code 130, one line that says how to go on, no traceback, and a folder from which `--resume` completes the
run, or that holds no run where it had not begun. A loop for each core keeps the machine busy meanwhile.

TensorFlow is imported once, and each try is forked from there: importing takes longer than the run.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

# Phase -> where it begins (a function of a module, or a hook of Keras), and the seconds that the signal waits at most.
PHASES = {
    "reading": ("unet_tf.planning.prepare", "_read", 0.1),
    "first compile": ("unet_tf.training.fit", "training_dataset", 3.0),
    "step": ("hook", "on_train_batch_begin", 0.3),
    "validation": ("hook", "on_test_begin", 0.3),
    "save": ("unet_tf.training.run_writer", "save_checkpoint", 0.2),
    "evaluation": ("unet_tf.evaluation.evaluate", "judge_answers", 0.5),
    "report": ("unet_tf.evaluation.evaluate", "write_report", 0.5),
}
PATIENCE = 120.0
"""Seconds after the signal after which a process hangs."""
SETTINGS = [
    "--base-filters=4", "--depth=2", "--padding=same", "--tile=64", "--batch-size=2", "--precision=float32",
    "--epochs=3", "--steps-per-epoch=20",
]  # fmt: skip


def announce(phase: str, pipe: int) -> None:
    """Have this process write a byte when the phase begins."""
    import importlib

    where, name, _ = PHASES[phase]

    def tell() -> None:
        with contextlib.suppress(OSError):
            os.write(pipe, b"!")

    if where == "hook":
        from unet_tf.training.callbacks import Guard

        own = getattr(Guard, name, None)

        def hook(self: Any, *arguments: Any, **names: Any) -> None:
            tell()
            if own is not None:
                own(self, *arguments, **names)

        setattr(Guard, name, hook)
        return
    module = importlib.import_module(where)
    function = getattr(module, name)

    def told(*arguments: Any, **names: Any) -> Any:
        tell()
        return function(*arguments, **names)

    setattr(module, name, told)


def run_here(arguments: list[str], output: Path, phase: str | None, pipe: int) -> None:
    """Be the command line, in a process that was forked for it."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.argv = ["unet-tf", *arguments]
        if phase is not None:
            announce(phase, pipe)
        from unet_tf.cli.commands import main

        main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    ctypes.pythonapi.Py_Exit(code)  # what an interpreter does at its end, without the frames of its parent


def start(arguments: list[str], output: Path, phase: str | None = None) -> tuple[int, int]:
    """Process and the pipe in which it announces the phase; in the child it does not return."""
    reader, writer = os.pipe()
    if pid := os.fork():
        os.close(writer)
        return pid, reader
    os.close(reader)
    run_here(arguments, output, phase, writer)
    raise RuntimeError("the process has ended")


def end_of(pid: int, seconds: float) -> int | None:
    """Exit code of a process; None if it does not end in time, and is killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def fault_of(data: Path, folder: Path, phase: str, rng: random.Random) -> str:
    """Try once: what was wrong, or nothing."""
    out, said = folder / "run", folder / "said.txt"
    number = rng.choice((signal.SIGINT, signal.SIGTERM))
    wait = rng.uniform(0, PHASES[phase][2])
    pid, pipe = start(["train", str(data), "--out", str(out), *SETTINGS], said, phase)
    with open(pipe, "rb", buffering=0) as announced:  # noqa: PTH123
        for _ in range(rng.randint(1, 3) if phase in ("step", "validation", "save") else 1):
            ready = select.select([announced], [], [], PATIENCE)[0]
            if not ready or not announced.read(1):
                return f"never came to {phase}: {said.read_text()[-300:]}"
        time.sleep(wait)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        code = end_of(pid, PATIENCE)
    text = said.read_text()
    if code == 0:
        return "had ended before"
    begun = (out / "config.toml").exists()
    lines = [line for line in text.splitlines() if line.startswith("Stopped")]
    expected = f"Stopped. Go on with: unet-tf train --resume {out}" if begun else "Stopped before the run"
    if code != 130 or "Traceback" in text or len(lines) != 1 or not lines[0].startswith(expected):
        return f"{number.name} after {wait:.2f} s: exit code {code}, {text[-600:]}"
    if any(path.name != ".lock" for path in out.rglob(".*")):
        return "left temporary files"
    if not begun:
        return ""
    pid, pipe = start(["train", "--resume", str(out)], said)
    os.close(pipe)
    if (code := end_of(pid, PATIENCE)) or not (out / "report.html").is_file():
        return f"resume: exit code {code}, {said.read_text()[-600:]}"
    return ""


def main() -> None:
    tries, seed = int(sys.argv[1]) if len(sys.argv) > 1 else 60, int(sys.argv[2]) if len(sys.argv) > 2 else 0
    import unet_tf.cli.commands
    import unet_tf.training.train  # noqa: F401
    from unet_tf.synthetic.write import write_synthetic

    rng = random.Random(seed)
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    good: collections.Counter[str] = collections.Counter()
    all_of: collections.Counter[str] = collections.Counter()
    folder = Path(tempfile.mkdtemp())  # not TemporaryDirectory, which a forked process would remove at its end
    data = write_synthetic(folder / "cells", "cells", {"train": 6, "val": 4, "test": 4}, size=128, seed=1)
    try:
        for number in range(tries):
            phase, own = list(PHASES)[number % len(PHASES)], folder / str(number)
            own.mkdir()
            while (fault := fault_of(data, own, phase, rng)) == "had ended before":
                shutil.rmtree(own / "run")  # the signal came too late: not a try
            all_of[phase] += 1
            good[phase] += not fault
            print(f"{number + 1:3d} {phase:14s} {fault or 'ended well, went on'}", flush=True)
            shutil.rmtree(own)
    finally:
        for loop in loops:
            loop.kill()
        shutil.rmtree(folder)
    for phase in PHASES:
        print(f"{phase:14s} {good[phase]} of {all_of[phase]}")
    print(f"{good.total()} of {tries} ended with exit code 130, a whole folder, and went on")


if __name__ == "__main__":
    main()
