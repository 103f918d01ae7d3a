"""Runs clang-tidy on Tandem's own sources, two at a time.

usage: tidy.py [MINUTES]

A source that was clean is checked again only when it, a header of ours that it
includes or .clang-tidy has changed: build/tidy holds a stamp per source, named
by the digest of all these.

LibTorch's headers take clang some 15 seconds a source. With MINUTES, no check is
begun after that time, those without LibTorch come first, and what is left is
counted and done by the next run.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
STAMPS = ROOT / "build" / "tidy"
COMMANDS = ROOT / "build" / "release" / "compile_commands.json"
FOLDERS = ("common", "proto", "model", "privacy", "distill", "client",
           "server", "cli", "examples")
INCLUDE = re.compile(rb'^\s*#include\s+"([^"]+)"', re.MULTILINE)


def inputs(source):
    """The source and every header of ours that it includes, in a fixed order."""
    seen, pending = set(), [source]
    while pending:
        path = pending.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        pending += [ROOT / name.decode()
                    for name in INCLUDE.findall(path.read_bytes())]
    return sorted(seen)


def digest(source):
    result = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    for path in inputs(source):
        result.update(path.read_bytes())
    return result.hexdigest()


def clang_arguments(command):
    """The compiler's arguments without gcc's precompiled header."""
    kept, words = [], iter(shlex.split(command))
    for word in words:
        if word == "-include" or word == "-o":
            next(words)
        elif word not in ("-fpch-preprocess", "-Winvalid-pch", "-fopenmp", "-c"):
            kept.append(word)
    while not kept[0].endswith("++"):  # what launches the compiler
        kept.pop(0)
    return kept


def check(source, deadline):
    """(exit code, output); None where the time was over."""
    if time.monotonic() > deadline:
        return None
    result = subprocess.run(
        [pathlib.Path(sys.executable).with_name("clang-tidy"), "--quiet",
         "-p", STAMPS, source], cwd=ROOT, capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def includes_torch(source):
    return any(b"ATen/" in path.read_bytes() for path in inputs(source))


def write_commands():
    """Ours of compile_commands.json, as clang reads them; their sources."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    entries = []
    for entry in json.loads(COMMANDS.read_text()):
        path = pathlib.Path(entry["file"])
        if path.is_relative_to(ROOT) and \
                path.relative_to(ROOT).parts[0] in FOLDERS:
            entries.append({"directory": entry["directory"], "file": str(path),
                            "arguments": clang_arguments(entry["command"])})
    (STAMPS / "compile_commands.json").write_text(json.dumps(entries))
    return [pathlib.Path(entry["file"]) for entry in entries]


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
    deadline = time.monotonic() + 60 * minutes
    sources = write_commands()
    stamps = {source: STAMPS / digest(source) for source in sources}
    changed = sorted((s for s in sources if not stamps[s].exists()),
                     key=includes_torch)
    print(f"{len(changed)} of {len(sources)} sources to check", flush=True)
    failures = left = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = pool.map(lambda source: check(source, deadline), changed)
        for source, result in zip(changed, results):
            if result is None:
                left += 1
            elif result[0] == 0:
                stamps[source].touch()
            else:
                failures += 1
                print(result[1], flush=True)
    if left:
        print(f"{left} sources left for the next run", flush=True)
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
