"""`python -m tests.sim`: tell the story of one seed again, or of many.

python -m tests.sim --seed 42 --trace
python -m tests.sim --seeds 1..500 --steps 12
"""

from __future__ import annotations

import argparse
import sys
import traceback

from tests.sim.scenarios import STEPS, run_seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__.split("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int, help="tell this one")
    which.add_argument("--seeds", metavar="A..B", help="tell all of these")
    parser.add_argument("--steps", type=int, default=STEPS, help="how many things go wrong")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    asked = parser.parse_args()
    if asked.seed is not None:
        seeds = range(asked.seed, asked.seed + 1)
    else:
        first, _, last = asked.seeds.partition("..")
        seeds = range(int(first), int(last) + 1)
    failed = [seed for seed in seeds if not _tell(seed, asked.steps, trace=asked.trace)]
    if failed:
        print(f"{len(failed)} of {len(seeds)} failed: {failed}")
    return 1 if failed else 0


def _tell(seed: int, steps: int, *, trace: bool) -> bool:
    try:
        outcome = run_seed(seed, steps, show=print if trace else None)
    except Exception:
        print(f"seed {seed}:")
        traceback.print_exc(file=sys.stdout)
        return False
    print(outcome)
    for breach in outcome.breaches:
        print(f"    {breach}")
    return not outcome.breaches


if __name__ == "__main__":
    sys.exit(main())
