"""The first half of `make bench`: every benchmark that needs no server, one after the other."""

import subprocess
import sys

BENCHMARKS = ("benchmarks.bench_arguments", "benchmarks.bench_embedded")

if __name__ == "__main__":
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", name, *sys.argv[1:]], check=True)
