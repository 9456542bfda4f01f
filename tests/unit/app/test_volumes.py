"""Faults that are ordered act on the volumes of a process, whenever they were opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from staffetta.app import volumes as volumes_module
from staffetta.app.config import Config
from staffetta.app.config_file import load
from staffetta.app.volumes import ORDERS_FILE, StorageVolumes, order, read_orders
from staffetta.runtime.faults import FaultMode, VolumeFault


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(None, tmp_path, None)


def test_orders_add_up_and_are_taken_back(config: Config) -> None:
    run = config.data.run
    assert read_orders(run).cells == {}
    order(run, "c1", FaultMode.HANG)
    order(run, "c2", FaultMode.FULL)
    assert order(run, "c1", FaultMode.ERROR).cells == {"c1": "error", "c2": "full"}
    assert order(run, "c1", None).cells == {"c2": "full"}
    assert read_orders(run).serial == 4
    assert [path.name for path in run.iterdir()] == [ORDERS_FILE]


def test_open_cells_break_and_mend(config: Config) -> None:
    volumes = StorageVolumes(config)
    cell = volumes.cell("c1")
    cell.write_lazily("a", b"1")
    order(config.data.run, "c1", FaultMode.ERROR)
    assert volumes.obey().cells == {"c1": FaultMode.ERROR}
    with pytest.raises(VolumeFault):
        cell.read("a")
    volumes.cell("c2").write_lazily("a", b"2")
    order(config.data.run, "c1", None)
    volumes.obey()
    assert cell.read("a") == b"1"


def test_a_cell_that_is_opened_later_is_broken_from_the_start(config: Config) -> None:
    order(config.data.run, "c1", FaultMode.READONLY)
    volumes = StorageVolumes(config)
    assert volumes.cell("c1").gate.mode is FaultMode.READONLY
    assert volumes.cell("c1") is volumes.cell("c1")


def test_a_damaged_order_changes_nothing(config: Config) -> None:
    volumes = StorageVolumes(config)
    order(config.data.run, "c1", FaultMode.GONE)
    volumes.obey()
    (config.data.run / ORDERS_FILE).write_text("{")
    assert volumes.obey().cells == {"c1": FaultMode.GONE}
    assert volumes.cell("c1").gate.mode is FaultMode.GONE


def test_no_file_means_no_orders(config: Config) -> None:
    volumes = StorageVolumes(config)
    order(config.data.run, "c1", FaultMode.GONE)
    volumes.obey()
    (config.data.run / ORDERS_FILE).unlink()
    volumes.obey()
    assert volumes.cell("c1").gate.mode is None


def test_the_watch_obeys(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[Callable[[], object]] = []
    monkeypatch.setattr(
        volumes_module, "repeat_on_thread", lambda call, interval_s, name: watched.append(call)
    )
    volumes = StorageVolumes(config)
    volumes.watch()
    order(config.data.run, "c1", FaultMode.GONE)
    watched[0]()
    assert volumes.cell("c1").gate.mode is FaultMode.GONE


def test_places(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        'data_directory = "d"\n[log]\ndirectory = "l"\n[cells.c2]\ndirectory = "x/c2"\n'
    )
    volumes = StorageVolumes(load(file, None, None))
    assert volumes.log.root == tmp_path / "l"
    assert volumes.cell("c1").root == tmp_path / "d" / "cells" / "c1"
    assert volumes.cell("c2").root == tmp_path / "x" / "c2"
    assert volumes.checkpoints.root == tmp_path / "d" / "deliver"
