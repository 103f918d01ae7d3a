"""What the peers' scripts share: flags, turns, and the line that they print.

The protocol is that of ../repetitions.h: "ready" after the warm-up, one line on
standard input before each timed repetition and "done" after it, then one line
of JSON.
"""

import argparse
import json
import os
import sys
import time

# Before numerical libraries are loaded: neither may reach for the network, and
# one may name instructions that this processor lacks.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.pop("OPENBLAS_CORETYPE", None)


def arguments(description, *extra):
    """Parsed flags; `extra` are (name, default) pairs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True,
                        help="Hugging Face folder, or GGUF for llama.cpp")
    parser.add_argument("--input", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--take-turns", action="store_true")
    for name, default in extra:
        parser.add_argument("--" + name, default=default, type=type(default))
    flags = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(flags.threads)
    return flags


def documents(flags):
    """(token ids, index of the first target) of each document of the input."""
    with open(flags.input) as file:
        content = json.load(file)
    return list(zip(content["documents"], content["first_targets"]))


def peak_rss_bytes():
    """Not getrusage: a process inherits ru_maxrss from the one that starts it."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file
                    if line.startswith("VmHWM:"))


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def repeat(flags, unit, work, **settings):
    """Runs work() -> (units, seconds) and prints what came of it."""
    for _ in range(flags.warm_up):
        work()
    if flags.take_turns:
        print("ready", flush=True)
    units, seconds = [], []
    for _ in range(flags.repetitions):
        if flags.take_turns and not sys.stdin.readline():
            break
        did, took = work()
        units.append(did)
        seconds.append(took)
        if flags.take_turns:
            print("done", flush=True)
    print(json.dumps({"unit": unit, "units": units, "seconds": seconds,
                      "peak_rss_bytes": peak_rss_bytes(),
                      "settings": {"threads": flags.threads, **settings}}),
          flush=True)
