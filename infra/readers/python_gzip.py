"""Writes what a gzip file holds to stdout, read by Python's gzip module."""

import gzip
import shutil
import sys

with gzip.open(sys.argv[1]) as file:
    shutil.copyfileobj(file, sys.stdout.buffer)
