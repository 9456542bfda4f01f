"""Flat cost."""

from benchmarks.bench import Bench
from benchmarks.report import Report

NAME = "flat"


def measure(bench: Bench) -> Report:
    """Later."""
    return bench.open_report(NAME)
