"""Runs clang-tidy on Tandem's own sources, two at a time.

usage: tidy.py

It checks what the release build compiles: several sources at once, so that
LibTorch's headers are read once for all of them. What was clean is checked again
only when one of its sources, a header of ours that they include or .clang-tidy
has changed: build/tidy holds a stamp for each, named by the digest of all these.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
STAMPS = ROOT / "build" / "tidy"
COMMANDS = ROOT / "build" / "release" / "compile_commands.json"
FOLDERS = ("common", "proto", "model", "privacy", "distill", "client",
           "server", "cli", "examples", "bench")
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


def lend_openmp():
    """Gcc's omp.h, which clang has none of, in a folder without its others."""
    found = subprocess.check_output(
        ["g++", "-print-file-name=include/omp.h"], text=True).strip()
    (STAMPS / "include").mkdir(exist_ok=True)
    shutil.copy(found, STAMPS / "include")


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
    return kept + ["-isystem", str(STAMPS / "include")]


def check(source):
    """(exit code, output)"""
    result = subprocess.run(
        [pathlib.Path(sys.executable).with_name("clang-tidy"), "--quiet",
         f"--header-filter=^{ROOT}/({'|'.join(FOLDERS)})/",
         "-p", STAMPS, source], cwd=ROOT, capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def folder_of(path):
    """Of a source, or of the file in the build folder that includes several."""
    parts = path.relative_to(ROOT).parts
    return parts[2] if parts[0] == "build" else parts[0]


def write_commands():
    """Ours of compile_commands.json, as clang reads them; their sources."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    lend_openmp()
    entries = []
    for entry in json.loads(COMMANDS.read_text()):
        path = pathlib.Path(entry["file"])
        if path.is_relative_to(ROOT) and folder_of(path) in FOLDERS:
            entries.append({"directory": entry["directory"], "file": str(path),
                            "arguments": clang_arguments(entry["command"])})
    (STAMPS / "compile_commands.json").write_text(json.dumps(entries))
    return [pathlib.Path(entry["file"]) for entry in entries]


def main():
    sources = write_commands()
    stamps = {source: STAMPS / digest(source) for source in sources}
    changed = [source for source in sources if not stamps[source].exists()]
    print(f"{len(changed)} of {len(sources)} to check", flush=True)
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for source, (code, output) in zip(changed, pool.map(check, changed)):
            if code == 0:
                stamps[source].touch()
            else:
                failures += 1
                print(output, flush=True)
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
