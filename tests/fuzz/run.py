"""How is a target searched? With atheris, from an environment of its own: `make fuzz TARGETS=openrouter SECONDS=60`."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path

import atheris

from tests.fuzz import TARGETS

CASES = Path(__file__).parent / "cases"
INSTRUMENTED = ["app", "jwt", "multipart", "email_validator"]
LENGTH_MAX = 4096
INPUT_TIMEOUT_SECONDS = 30  # the strength of the oddest passwords takes seconds
MEMORY_MAX_MB = 1024


def main() -> None:
    """Until the time is over, or something was found: its input is then in the target's folder of cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="what is kept between runs")
    arguments = parser.parse_args()
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = importlib.import_module(f"tests.fuzz.{arguments.target}")
    corpus, cases = arguments.corpus / arguments.target, CASES / arguments.target
    for folder in (corpus, cases):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = {word.decode() for seed in target.SEEDS for word in re.findall(rb"[A-Za-z0-9_]{3,40}", seed)}
    dictionary = corpus.with_suffix(".words")
    dictionary.write_text("".join(f'"{word}"\n' for word in sorted(words)), encoding="ascii")
    options = {
        "max_total_time": arguments.seconds,
        "max_len": LENGTH_MAX,
        "timeout": INPUT_TIMEOUT_SECONDS,
        "rss_limit_mb": MEMORY_MAX_MB,
        "artifact_prefix": f"{cases}/",
        "dict": dictionary,
        "print_final_stats": 1,
    }
    atheris.Setup(
        [sys.argv[0], str(corpus), str(cases), *(f"-{name}={value}" for name, value in options.items())], target.feed
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
