"""Contenders of a benchmark, in processes of their own that take turns; and the Markdown of what they took."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent


class Worker:
    """A contender in a process of its own, idle until it is asked.

    Args:
        python: its interpreter.
        arguments: script in this folder, and its arguments.
    """

    def __init__(self, python: str, *arguments: str) -> None:
        threads = str(len(os.sched_getaffinity(0)))
        names = "OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"
        settings = dict.fromkeys(names, threads) | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the worker
        self.process = subprocess.Popen(
            [python, str(HERE / arguments[0]), *arguments[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | settings,
        )
        self.parameters = int(self._answer().split()[1])

    def _answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline().strip()
        if not line:
            self.errors.seek(0)
            sys.exit(f"A worker ended: {self.errors.read()[-3000:]}")
        return line

    def ask(self, command: str, argument: object) -> str:
        """Its answer to one command."""
        assert self.process.stdin
        print(command, argument, file=self.process.stdin, flush=True)
        return self._answer()

    def seconds(self, command: str, steps: int) -> float:
        """Seconds a step."""
        return float(self.ask(command, steps)) / steps

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()


def find_torch(named: str | None) -> str | None:
    """An interpreter that imports torch, or None."""
    if named:
        return shutil.which(named) or sys.exit(f"--torch-python is no program: {named}")
    return sys.executable if importlib.util.find_spec("torch") else None


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Lowest and highest."""
    return f"{min(values):{form}} - {max(values):{form}}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table, its first column to the left and the others to the right."""
    for row in (header, ["---", *["---:"] * (len(header) - 1)], *rows):
        print("|", " | ".join(row), "|")
    print()


def print_text(text: str) -> None:
    """A paragraph."""
    print(textwrap.fill(text, 120, break_on_hyphens=False, break_long_words=False), end="\n\n", flush=True)


def machine() -> str:
    """Processor, its instructions for matrices, cores, system and Python; no names or paths of this machine."""
    facts = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", facts)
    known = "avx2", "avx512f", "avx512_bf16", "amx_bf16"
    flags = [flag for flag in known if re.search(rf"\b{flag}\b", facts)]
    return (
        f"{model[1] if model else platform.processor()} ({', '.join(flags) or 'no AVX2'}), "
        f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def print_machine(torch: str | None, note: str, packages: Sequence[str] = ("torch",)) -> None:
    """The machine, and versions.

    Args:
        torch: interpreter of the peers, or None.
        note: how they were timed.
        packages: of that interpreter, to say the versions of.
    """
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("unet-tf", "tensorflow", "keras")]
    if torch:
        code = f"import importlib.metadata as m; print(*(f'{{n}} {{m.version(n)}}' for n in {packages}), sep=', ')"
        versions.append(subprocess.run([torch, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    print_text(
        f"{machine()}; {', '.join(versions)}. Contenders take turns, each in a process of its own with a thread a "
        f"core; {note}"
    )
    if not torch:
        print_text(
            f"What needs {' and '.join(packages)} is left out: not installed here; name an interpreter that has it "
            "(--torch-python)."
        )
