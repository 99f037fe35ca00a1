"""Helpers of the benchmark programs: a server, the contenders, and how they are driven, measured and reported."""

import sys
from pathlib import Path

sys.path.append(
    str(Path(__file__).resolve().parents[2])
)  # adapters, domain and projections, whoever starts the program
