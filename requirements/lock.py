"""Write the installed versions of all dependencies, direct or not, into requirements/*.txt."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))
FILES = {
    "service.txt": ("What the service runs with", PROJECT["project"]["dependencies"]),
    "development.txt": (
        "What the checks and tests need beside it",
        PROJECT["dependency-groups"]["dev"],
    ),
    "build.txt": (
        "What builds the package",
        [*PROJECT["build-system"]["requires"], "editables"],
    ),
}
# Packages that do not exist everywhere.
MARKERS = {"uvloop": ' ; sys_platform != "win32"'}


def closure(requirements: list[str]) -> dict[str, str]:
    """The installed version of each requirement and of all that those require."""
    versions: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting: list[tuple[Requirement, frozenset[str]]] = [
        (Requirement(one), frozenset()) for one in requirements
    ]
    while waiting:
        wanted, extras = waiting.pop()
        if wanted.marker and not any(
            wanted.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            continue
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        distribution = metadata.distribution(name)
        versions[name] = distribution.version
        waiting += [
            (Requirement(one), frozenset(wanted.extras)) for one in distribution.requires or ()
        ]
    return versions


def main() -> None:
    """Write all files."""
    for file, (title, requirements) in FILES.items():
        lines = [f"# {title}, every version told. Written by `make lock`.\n"]
        for name, version in sorted(closure(requirements).items()):
            lines.append(f"{name}=={version}{MARKERS.get(name, '')}\n")
        (HERE / file).write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
