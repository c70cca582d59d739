#!/usr/bin/python3
# 64-byte frames one way between two processes on two cores, copied in and out, every check on
"""Hands over to build/bench-link, which does all of it; see bench.d/link/link.cpp."""

import os
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "build" / "bench-link"

if __name__ == "__main__":
    os.execv(PROGRAM, ["./bench link", *sys.argv[1:]])
