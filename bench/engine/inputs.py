"""Makes what both sides run on, once, in build/bench: token ids, texts, and the
model as a Hugging Face folder for the peers.

Token ids are real text, cut to length: foldoc's dictionary, tokenised.
"""

import gzip
import json
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "bench"
GGUF = ROOT / "data" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
PEER_MODEL = FOLDER / "smollm2-bf16"
# Lengths of the realistic batch, and the share of a document that is prompt.
RAGGED_DOCUMENTS, RAGGED_LENGTHS, PROMPT_SHARE = 8, (20, 250), (0.3, 0.7)


def dictionary(name):
    with gzip.open(ROOT / "data" / "dict" / f"{name}.dict.dz") as file:
        file.seek(200_000)
        return file.read(1_000_000).decode("utf-8", "replace")


def write(name, content):
    path = FOLDER / name
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.rename(path)


def make_model():
    import torch
    from transformers import AutoModelForCausalLM
    sys.path.insert(0, str(ROOT / "tests" / "interop"))
    import oracles
    model = AutoModelForCausalLM.from_pretrained(
        GGUF.parent, gguf_file=GGUF.name, dtype=torch.bfloat16)
    partial = PEER_MODEL.with_suffix(".partial")
    model.save_pretrained(partial)
    oracles.chat_tokenizer(GGUF).save_pretrained(partial)
    partial.rename(PEER_MODEL)


def ragged_lengths(chance):
    """(length, first target) of each document."""
    for _ in range(RAGGED_DOCUMENTS):
        length = chance.randint(*RAGGED_LENGTHS)
        yield length, int(length * chance.uniform(*PROMPT_SHARE))


def make_batches():
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(PEER_MODEL / "tokenizer.json"))
    ids = iter(tokenizer.encode(dictionary("foldoc")).ids)
    shapes = {"batch_4x256": [(256, 1)] * 4, "batch_1x512": [(512, 1)],
              "ragged": list(ragged_lengths(random.Random(1))),
              "prompt_64": [(64, 1)], "prompt_512": [(512, 1)]}
    for name, documents in shapes.items():
        write(name + ".json", {
            "documents": [[next(ids) for _ in range(n)] for n, _ in documents],
            "first_targets": [first for _, first in documents]})


def invented_words(chance, first, last, count):
    """Words of random letters of one script: Unicode first to last."""
    return " ".join("".join(chr(chance.randint(first, last))
                            for _ in range(chance.randint(2, 9)))
                    for _ in range(count))


def make_texts():
    """2 MB in pieces of some kB: prose, code, and a tenth in other scripts."""
    chance = random.Random(1)
    prose = dictionary("wn") + dictionary("foldoc")[:300_000]
    library = pathlib.Path(json.__file__).resolve().parents[1]
    code = "".join(path.read_text(errors="replace")
                   for path in sorted(library.glob("[a-c]*.py")))[:500_000]
    pieces = [text[i:i + 2_000] for text in (prose, code)
              for i in range(0, len(text), 2_000)]
    scripts = [(0x400, 0x44f), (0x3b1, 0x3c9), (0x627, 0x64a), (0x904, 0x939),
               (0x4e00, 0x9fa5), (0xac00, 0xd7a3), (0x3041, 0x3096),
               (0xe01, 0xe2e), (0x5d0, 0x5ea), (0x1f600, 0x1f64f)]
    pieces += [invented_words(chance, *script, 150)
               for script in scripts for _ in range(8)]
    chance.shuffle(pieces)
    write("texts.json", pieces)


def make_all():
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not PEER_MODEL.is_dir():
        make_model()
    if not (FOLDER / "batch_4x256.json").is_file():
        make_batches()
    if not (FOLDER / "texts.json").is_file():
        make_texts()


if __name__ == "__main__":
    make_all()
