"""The table of benchmark scores in bench/README.md, printed as Markdown.

usage: scores.py [--model F.gguf] [--bin build/release/bin]
"""

import argparse
import json
import pathlib
import subprocess

import inputs
import report

TASKS = ("arc_easy", "csqa", "openbookqa", "piqa", "socialiqa", "boolq")
COLUMNS = ("accuracy", "accuracy_per_character", "accuracy_per_byte")


def evaluate(flags, task):
    file = inputs.ROOT / "data/eval" / task / "rc_0shot/requests.jsonl.gz"
    return json.loads(subprocess.run(
        [flags.bin / "tandem", "eval", "--model", flags.model, "--dtype",
         "fp32", "--task", file], check=True, stdout=subprocess.PIPE).stdout)


def percent(estimate):
    return f"{estimate['value']:.1%} ± {estimate['standard_error']:.1%}"


def line(task, result):
    bits = result["bits_per_byte"]
    return (task, f"{result['items']:,}", *(percent(result[c]) for c in COLUMNS),
            f"{bits['value']:.3f} ± {bits['standard_error']:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, default=inputs.GGUF)
    parser.add_argument("--bin", type=pathlib.Path,
                        default=inputs.ROOT / "build" / "release" / "bin")
    flags = parser.parse_args()
    print(report.table(
        ("task", "items", "accuracy", "by characters", "by bytes",
         "bits per byte"),
        [line(task, evaluate(flags, task)) for task in TASKS]))


if __name__ == "__main__":
    main()
