"""`python -m staffetta.app.roles ROLE INDEX --data DIR`: one role alone, without a parent.

For a debugger or a tracer around one process. The service itself is `staffetta serve`.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from staffetta.app.config import DataDirectory
from staffetta.app.config_file import ConfigRefused, load
from staffetta.app.roles.host import run_role
from staffetta.app.supervisor import DOORS, Assignment, bind_role
from staffetta.runtime.net import PortRefused, PortTaken
from staffetta.runtime.processes import name_process, raise_file_limit


def main() -> None:
    """Run the role until SIGTERM; does not return."""
    parser = argparse.ArgumentParser(prog="python -m staffetta.app.roles")
    parser.add_argument("role", choices=sorted(DOORS))
    parser.add_argument("index", type=int)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--port-base", type=int)
    options = parser.parse_args()
    try:
        config = load(options.config, options.data, options.port_base)
        sockets = bind_role(config, options.role)[options.index]
    except (ConfigRefused, PortTaken, PortRefused) as refusal:
        sys.exit(str(refusal))
    DataDirectory(Path(config.data_directory)).run.mkdir(parents=True, exist_ok=True)
    raise_file_limit()
    name_process(f"staf-{options.role}-{options.index}")
    _nobody, news = socket.socketpair()
    run_role(Assignment(options.role, options.index, config, sockets, news))


if __name__ == "__main__":
    main()
