"""Whole validation sets: how often `tandem eval` and transformers choose alike.

usage: agreement.py [--tasks arc_easy,csqa] [--bin build/release/bin]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM

import inputs

sys.path.insert(0, str(inputs.ROOT / "tests" / "interop"))
import choice_reference
import oracles

MUST_AGREE = 0.995
CHOICES = ("choice", "choice_per_character", "choice_per_byte")


def our_items(binary, file):
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as out:
        subprocess.run([binary, "eval", "--model", inputs.GGUF, "--dtype",
                        "fp32", "--task", file, "--per-item", out.name],
                       check=True, stdout=subprocess.DEVNULL)
        return [json.loads(line)
                for line in pathlib.Path(out.name).read_text().splitlines()]


def agreement(binary, task, model, tokenizer):
    """Share of items with the same choice, for each kind of choice."""
    file = inputs.ROOT / "data/eval" / task / "rc_0shot/requests.jsonl.gz"
    ours = our_items(binary, file)
    items = choice_reference.read_items(file)
    sums = choice_reference.log_likelihoods(model, tokenizer, items)
    theirs = [choice_reference.judge(gold, choices, s)
              for (gold, choices), s in zip(items, sums)]
    assert len(ours) == len(theirs)
    return len(items), {
        choice: sum(a[choice] == b[choice] for a, b in zip(ours, theirs))
        / len(items) for choice in CHOICES}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default="arc_easy,csqa")
    parser.add_argument("--bin", type=pathlib.Path,
                        default=inputs.ROOT / "build" / "release" / "bin")
    flags = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(
        inputs.GGUF.parent, gguf_file=inputs.GGUF.name,
        dtype=torch.float32).eval()
    tokenizer = oracles.byte_level_tokenizer(oracles.GgufMetadata(inputs.GGUF))
    lowest = 1.0
    for task in flags.tasks.split(","):
        count, shares = agreement(flags.bin / "tandem", task, model, tokenizer)
        lowest = min(lowest, *shares.values())
        print(f"{task}: {count} items, " + ", ".join(
            f"same {name} {share:.2%}" for name, share in shares.items()),
            flush=True)
    sys.exit(lowest < MUST_AGREE)


if __name__ == "__main__":
    main()
