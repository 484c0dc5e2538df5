#!/usr/bin/python3
"""Run one fuzzer on its corpus: replay it, or with FUZZ=true search for FUZZ_SECONDS.

An input that fails is written to the current directory as crash-*; move it into the corpus.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

fuzzer, corpus = sys.argv[1], pathlib.Path(sys.argv[2])
seeds = sorted(str(path) for path in corpus.glob("*") if path.is_file())
if os.environ.get("FUZZ") != "true":
    if not seeds:
        sys.exit(f"no seeds in {corpus}")
    sys.exit(subprocess.run([fuzzer, *seeds]).returncode)

with tempfile.TemporaryDirectory(prefix="fuzz-") as found:
    words = corpus.parent.parent / (corpus.name + ".dict")
    limits = [f"-dict={words}"] if words.exists() else []
    limits += ["-max_total_time=" + os.environ.get("FUZZ_SECONDS", "10"), "-timeout=10",
              "-rss_limit_mb=2048", "-max_len=65536", "-print_final_stats=1", "-verbosity=0"]
    sys.exit(subprocess.run([fuzzer, *limits, found, str(corpus)]).returncode)
