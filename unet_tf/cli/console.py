"""What the command line shows: progress bars, log lines, scores, outcomes."""

from __future__ import annotations

import itertools
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich import progress as rich_progress
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from unet_tf.data.folder import some
from unet_tf.errors import InputError
from unet_tf.pages.words import count, many
from unet_tf.run import Run
from unet_tf.utils.progress import Progress
from unet_tf.utils.signals import STOPPED, Stopped, stoppable
from unet_tf.utils.text import shown

if TYPE_CHECKING:
    from unet_tf.evaluation.compared import Comparison
    from unet_tf.evaluation.tables import EvaluationTable
    from unet_tf.planning.findings import Findings
    from unet_tf.prediction.record import Outcome
    from unet_tf.prediction.sizes import Sizes
    from unet_tf.prediction.suggest import Suggestions

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout and sys.stdout.isatty() else 120)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

EVERY = 60.0
"""Seconds between two lines that say how far a work is where no terminal shows bars: in the log of a job."""


def literal(text: object) -> str:
    """Text in which rich finds no markup, and which any terminal takes."""
    return escape(shown(text))


def say(text: str) -> None:
    """Print a line for whoever reads.

    Where nobody does any more, as behind `| head`, the work goes on in silence: what it makes lies in files.
    """
    with suppress(SystemExit):  # of rich, which prints nothing from then on
        console.print(text)


class Bars:
    """Progress bars that appear when something first counts, one a name; without a terminal a line now and then."""

    def __init__(self, progress: rich_progress.Progress) -> None:
        self.progress, self.start, self.pixels = progress, time.monotonic(), 0

    def count_pixels(self, number: int) -> None:
        """Count pixels that were predicted; from then on the bars show how many a second."""
        self.pixels += number

    @property
    def speed(self) -> str:
        """Megapixels a second since the bars began, or nothing without any."""
        return f"{self.pixels / 1e6 / (time.monotonic() - self.start):.2f} Mpx/s" if self.pixels else ""

    def counter(self, name: str) -> Progress:
        """A function (done, total) that draws the bar `name`, hidden while nothing is left."""
        task, said = None, time.monotonic()

        def count(done: int, total: int) -> None:
            nonlocal task, said
            if task is None or task not in self.progress.task_ids:
                task = self.progress.add_task(name)
            self.progress.update(task, completed=done, total=total, visible=done < total)
            if self.progress.disable and done < total and time.monotonic() - said >= EVERY:
                said = time.monotonic()
                say(", ".join(filter(None, (f"{name}: {done:,} of {total:,}", self.speed))))

        return count

    def step(self, name: str) -> None:
        """Print the name of a step that begins, in the place of all bars."""
        for task in self.progress.task_ids:
            self.progress.remove_task(task)
        say(f"[bold]{name}[/]")


@contextmanager
def working(stopped: str = "Stopped. Nothing half-written is left.") -> Iterator[Bars]:
    """Show log and bars of a block that Ctrl-C and SIGTERM end between two units of its work, with exit code 130.

    The bars vanish with it.

    Args:
        stopped: what to say then; "" where the log says it.
    """
    speed, text = _Speed(), TextColumn("{task.description}")
    columns = text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), speed
    hidden = not (console.is_terminal or console.is_jupyter)  # a file would get an empty line
    progress = rich_progress.Progress(*columns, console=console, transient=True, disable=hidden)
    speed.bars = Bars(progress)
    try:
        with stoppable(), show_log(), progress:
            yield speed.bars
    except Stopped:
        if stopped:
            console.print(stopped)
        raise typer.Exit(STOPPED) from None


class _Speed(ProgressColumn):
    """The speed of the bars, in each of them."""

    bars: Bars | None = None

    def render(self, task: Task) -> Text:
        """What stands in the column."""
        return Text(self.bars.speed if self.bars else "")


class ConsoleHandler(logging.Handler):
    """Prints log records as lines of the console, above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; of an error that nobody foresaw the traceback too, on standard error."""
        say(literal(record.getMessage()))
        if record.exc_info:
            with suppress(OSError):  # rich would silence standard output too where nobody reads this one
                sys.stderr.write(f"{logging.Formatter().formatException(record.exc_info)}\n")
                sys.stderr.flush()


@contextmanager
def show_log() -> Iterator[None]:
    """Print what the library says on its logger, once: TensorFlow gives the root logger a handler on its way."""
    logger, handler = logging.getLogger("unet_tf"), ConsoleHandler()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def tensorboard_callback(run: Path) -> list[Any]:
    """The Keras callback that writes events for TensorBoard into a run folder.

    Raises:
        InputError: TensorBoard is not installed.
    """
    import importlib.util

    import keras

    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("Events for TensorBoard need TensorBoard: pip install 'unet-tf[tensorboard]'.")
    return [keras.callbacks.TensorBoard(str(run / "tensorboard"), write_graph=False)]


def print_scores(run: Path) -> None:
    """Print the scores that the run folder holds."""
    from unet_tf.evaluation.tables import read_evaluation

    print_table_of_scores(read_evaluation(run / Run.EVALUATION))


def print_table_of_scores(stored: EvaluationTable) -> None:
    """Print the verdict, what was scored, and the scores of the net beside those of the baselines; objects first."""
    from unet_tf.evaluation.further_rows import further_rows, further_words, object_rows
    from unet_tf.evaluation.tables import certainty_words, class_rows, image_words, lacking, name_of, number, score_rows
    from unet_tf.evaluation.verdict import verdict

    soft = "" if name_of(stored) == "masks" else f"; mean soft Dice {number(stored['mean_soft_dice'])}"
    console.print(f"[bold]{literal(verdict(stored))}[/]")
    console.print(f"On {literal(stored['files'])}{soft}")
    for rows in filter(None, (object_rows(stored), score_rows(stored), class_rows(stored), *further_rows(stored))):
        print_table(rows)
    for words in filter(None, (image_words(stored), *further_words(stored), certainty_words(stored))):
        console.print(literal(words))
    if words := lacking(stored):
        console.print(literal(words))


def print_comparison(found: Comparison) -> None:
    """Print who was compared on which files, the differences, and the verdict."""
    from unet_tf.evaluation.comparison_table import difference_rows

    for name, one in zip("AB", (found.a, found.b), strict=True):
        if one.who is not None:
            console.print(f"{name}: {literal(one.who['path'])} ({one.who['kind']})")
    console.print(f"On {literal(found.files)}")
    print_table(difference_rows(found.differences))
    for words in found.notes:
        console.print(literal(words))
    console.print(f"[bold]{literal(found.verdict)}[/]")


def print_findings(findings: Findings) -> None:
    """Print what a check found: tables, suggestions, what deserves a look, what would stop training."""
    from unet_tf.planning.channel_facts import channel_rows
    from unet_tf.planning.findings import class_rows, split_rows
    from unet_tf.planning.page import suggestions

    if findings.rules:
        console.print(f"Pairs: {literal('; '.join(findings.rules))}")
    for rows in filter(None, (split_rows(findings), channel_rows(findings.channels), class_rows(findings))):
        print_table(rows)
    for name, value in suggestions(findings):
        console.print(f"{name[0].upper() + name[1:]}: {literal(value)}")
    for warning in findings.notes + findings.warnings:
        console.print(f"[yellow]Worth a look:[/] {literal(warning)}")
    for problem in findings.problems:
        errors.print(f"[bold red]Problem:[/] {literal(problem)}")


def print_outcome(outcome: Outcome, out: Path, speed: str) -> None:
    """Print how many masks lie in the folder, how fast they came, and which pictures failed."""
    there = outcome.written + outcome.skipped
    before = f" ({outcome.skipped} were there)" if outcome.skipped else ""
    rate = f"; {outcome.pixels / 1e6:.1f} Mpx, {speed}" if outcome.pixels else ""
    of = many(there + len(outcome.failed), "mask")
    console.print(f"{there} of {of} written to {literal(str(out))}{before}{rate}")
    print_nodata(list(outcome.nodata), list(itertools.chain.from_iterable(outcome.nodata.values())))
    if outcome.sizes is not None and outcome.written:
        _print_objects(outcome.sizes, f" in the {many(outcome.written, 'new mask')}" if outcome.skipped else "")
    for message in outcome.failed:
        errors.print(f"[bold red]Error:[/] {literal(message)}")


def _print_objects(sizes: Sizes, where: str) -> None:
    """Print how many objects there are, and what to do where many of them are specks."""
    console.print(f"Objects{where}: {count(sizes.total)}")
    number, area = sizes.specks
    if number:
        console.print(
            f"[yellow]Worth a look:[/] {many(number, 'of them has', 'of them have')} fewer than {area} pixels: "
            f"--min-area {area} with --overwrite, or into another --out, leaves them out."
        )


def print_suggestions(found: Suggestions, out: Path | None) -> None:
    """Print which pictures to annotate next, which were left out, and which could not be read."""
    if found.chosen:
        rows = [("", "picture", "uncertainty", "nearest above", "distance")]
        for rank, one in enumerate(found.chosen, start=1):
            near = (Path(one.nearest).name, f"{one.distance:.2f}") if one.nearest else ("", "")
            rows.append((str(rank), one.name, f"{one.uncertainty:.4f}", *near))
        print_table(rows)
    written = f": {literal(str(out))}" if out and (found.looked or found.known) else ""
    console.print(f"{len(found.chosen)} of {found.looked} pictures{written}")
    if found.known:
        console.print(f"Left out, as the run knows them: {literal(some(list(found.known)))}")
    for message in found.failed:
        errors.print(f"[bold red]Error:[/] {literal(message)}")


def print_nodata(pictures: Sequence[str], values: Sequence[float], found: str = "") -> None:
    """Print which pictures hold pixels without a measurement, if any do, and `found` whether that was looked for."""
    if values:
        said = ", ".join(f"{value:g}" for value in sorted(set(values)))
        console.print(
            f"Pixels of {said}{found} hold no measurement, and count as the mean of the training images, in "
            f"{literal(some([str(one) for one in pictures]))}"
        )


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a header and the rows below it."""
    header, *others = rows
    # what is longer than a line goes on in the next one: a path that is cut is no path
    table = Table(*(Column(literal(name), overflow="fold") for name in header), box=None)
    for row in others:
        table.add_row(*map(literal, row))
    console.print(table)
