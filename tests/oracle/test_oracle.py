"""Our ENVELOPE, BODYSTRUCTURE, sizes and parts against those on which three IMAP servers agree."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from staffetta.formats import imapdata
from staffetta.formats.eml import normalise_line_ends
from staffetta.formats.mime import scan
from tests.oracle.imap_values import (
    check_envelope,
    check_structure,
    plain_envelope,
    plain_structure,
    read_value,
)

CHECKOUT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("STAFFETTA_CORPUS", CHECKOUT.parent / "shared/corpora/given"))

# Messages on which every value agrees, in percent; what is missing is listed by the test.
AT_LEAST_PERCENT = {"consensus-sa": 99.5, "consensus-fix": 97.0, "consensus-host": 99.0}


def _compute(content: bytes) -> dict[str, object]:
    """Our values for a message as it is stored, under the oracle's names."""
    root = scan(content)
    envelope = read_value(imapdata.envelope(content, root))
    structure = read_value(imapdata.bodystructure(content, root))
    check_envelope(envelope)
    check_structure(structure)
    part = imapdata.section(content, root, [1], "")
    assert isinstance(part, tuple)
    start, end = part
    digest = hashlib.sha1(content[start:end], usedforsecurity=False)
    return {
        "size": len(content),
        "envelope": plain_envelope(envelope),
        "bodystructure": plain_structure(structure),
        "p1_sha1": digest.hexdigest()[:12],
    }


@pytest.mark.corpus
@pytest.mark.parametrize("name", AT_LEAST_PERCENT)
def test_agrees_with_three_servers(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    oracle = CORPUS / "oracle" / f"{name}.jsonl"
    if not oracle.is_file():
        pytest.skip(f"no corpus at {CORPUS} (set STAFFETTA_CORPUS)")
    asked: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    differing = []
    for line in oracle.read_text(encoding="utf-8").splitlines():
        wanted = json.loads(line)
        path = CORPUS / wanted["file"]
        if not path.is_file():  # The oracle knows two files that the corpus no longer has.
            continue
        ours = _compute(normalise_line_ends(path.read_bytes()))
        keys = [key for key in ours if key in wanted]
        if not keys:
            continue
        same = [key for key in keys if ours[key] == wanted[key]]
        asked.update([*keys, "message"])
        agreed.update([*same, *(["message"] if same == keys else [])])
        if same != keys:
            differing.append(wanted["file"])
    percent = {key: 100 * agreed[key] / asked[key] for key in asked}
    with capsys.disabled():
        figures = ", ".join(
            f"{key} {percent[key]:.2f} % of {asked[key]}" for key in sorted(percent)
        )
        print(f"\n{name}: {figures}")
    assert percent["size"] == 100
    assert percent["message"] >= AT_LEAST_PERCENT[name], differing
