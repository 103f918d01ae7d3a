"""Hugging Face's tokenizers on one thread, on a list of texts."""

import json
import pathlib

from tokenizers import Tokenizer

import session


def main():
    flags = session.arguments(__doc__)
    texts = json.loads(pathlib.Path(flags.input).read_text())
    tokenizer = Tokenizer.from_file(flags.model + "/tokenizer.json")

    def encode():
        for text in texts:
            tokenizer.encode(text, add_special_tokens=False)

    size = sum(len(text.encode()) for text in texts)
    session.repeat(flags, "bytes", lambda: (size, session.timed(encode)))


main()
