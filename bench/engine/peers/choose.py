"""Multiple choice by log-likelihood: a batched transformers script."""

import pathlib
import sys

from tokenizers import Tokenizer

import models
import session

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]
                       / "tests" / "interop"))
import choice_reference


def main():
    flags = session.arguments(__doc__, ("dtype", "bf16"), ("items", 0))
    model = models.frozen(flags, flags.dtype)
    tokenizer = Tokenizer.from_file(flags.model + "/tokenizer.json")
    items = choice_reference.read_items(flags.input, flags.items or None)

    def choose():
        choice_reference.log_likelihoods(model, tokenizer, items)

    session.repeat(flags, "items", lambda: (len(items), session.timed(choose)),
                   dtype=flags.dtype)


main()
