"""`python -m drills.furnish DATA`: the demo's brands, plans, domains and cells, without people."""

from __future__ import annotations

import sys
from pathlib import Path

from staffetta.app.config_file import load
from staffetta.app.volumes import StorageVolumes
from staffetta.app.wiring import found_cells
from staffetta.directory.demo import BRANDS, CELLS, DOMAINS, PLANS
from staffetta.directory.store import open_directory
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.entropy import SystemEntropy


def main(data: Path) -> None:
    """Put the demo's catalogue into an empty directory, and make its cells."""
    config = load(data / "drill.toml", None, None)
    volumes = StorageVolumes(config)
    entropy = SystemEntropy()
    directory = open_directory(volumes.directory, SystemClock(), entropy)
    for brand in BRANDS:
        directory.catalogue.add(brand)
    for domain in DOMAINS:
        directory.catalogue.add(domain)
    for plan in PLANS:
        directory.catalogue.add(plan)
    for cell in CELLS:
        directory.catalogue.add(cell)
    found_cells(volumes, [cell.name for cell in CELLS], entropy)
    directory.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
