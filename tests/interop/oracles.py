"""Reference tokenizers: Hugging Face's library, fed from a GGUF's metadata.

transformers' own conversion of GGUF tokenizers is wrong for SmolLM2 and Gemma 3:
of the first it takes GPT-2's pre-tokenizer where the file says `smollm`, so that
"2024" is one piece.
"""

import struct

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import PreTrainedTokenizerFast

CONTROL, USER_DEFINED, BYTE = 3, 4, 6  # of GGUF's token types


class GgufMetadata:
    """The `tokenizer.*` keys of a GGUF file.

    The gguf package's reader takes 23 s for Gemma's list of tokens, this 1 s.
    """

    NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
    TEXT, ARRAY = 8, 9

    def __init__(self, path):
        with open(path, "rb") as file:
            self._file = file
            assert file.read(4) == b"GGUF"
            _, _, keys = struct.unpack("<IQQ", file.read(20))
            self._fields = {self._text(): self._value(*self._numbers("I", 1))
                            for _ in range(keys)}

    def __getitem__(self, key):
        return self._fields["tokenizer." + key]

    def _numbers(self, kind, count):
        size = count * struct.calcsize(kind)
        return struct.unpack(f"<{count}{kind}", self._file.read(size))

    def _text(self):
        return self._file.read(*self._numbers("Q", 1)).decode()

    def _value(self, kind):
        if kind == self.TEXT:
            return self._text()
        if kind != self.ARRAY:
            return self._numbers(self.NUMBERS[kind], 1)[0]
        kind, = self._numbers("I", 1)
        count, = self._numbers("Q", 1)
        if kind in self.NUMBERS:
            return list(self._numbers(self.NUMBERS[kind], count))
        return [self._value(kind) for _ in range(count)]


def byte_level_tokenizer(metadata):
    """The `smollm` tokenizer as tokenizers.Tokenizer."""
    assert metadata["ggml.model"] == "gpt2" and metadata["ggml.pre"] == "smollm"
    tokens = metadata["ggml.tokens"]
    tokenizer = Tokenizer(models.BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=[tuple(pair.split(" ")) for pair in metadata["ggml.merges"]]))
    tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True)
         for token, kind in zip(tokens, metadata["ggml.token_type"])
         if kind == CONTROL])
    return tokenizer


def merges_by_score(metadata):
    """All ways to make a token of two, in the order of transformers' merges."""
    tokens, kinds = metadata["ggml.tokens"], metadata["ggml.token_type"]
    ids = {token: i for i, token in enumerate(tokens)}
    found = []
    for token, score, kind in zip(tokens, metadata["ggml.scores"], kinds):
        cuts = [] if kind in (CONTROL, BYTE) else range(1, len(token))
        pairs = [(token[:cut], token[cut:]) for cut in cuts]
        pairs = [pair for pair in pairs if pair[0] in ids and pair[1] in ids]
        pairs.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        found += [(score, pair) for pair in pairs]
    found.sort(key=lambda entry: (entry[0], len(entry[1][0]), len(entry[1][1])),
               reverse=True)
    return [pair for _, pair in found]


def sentence_piece_tokenizer(metadata):
    """The `llama` tokenizer of a file without a space prefix (Gemma)."""
    assert metadata["ggml.model"] == "llama"
    assert not metadata["ggml.add_space_prefix"]
    tokens, kinds = metadata["ggml.tokens"], metadata["ggml.token_type"]
    tokenizer = Tokenizer(models.BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=merges_by_score(metadata), unk_token="<unk>", fuse_unk=True,
        byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True)
         for token, kind in zip(tokens, kinds) if kind == CONTROL])
    # A run of spaces is made by merges.
    tokenizer.add_tokens(
        [AddedToken(token, normalized=False, special=False)
         for token, kind in zip(tokens, kinds)
         if kind == USER_DEFINED and "▁" not in token])
    return tokenizer


def chat_tokenizer(path):
    """The same for transformers, with the file's chat template."""
    metadata = GgufMetadata(path)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level_tokenizer(metadata),
        clean_up_tokenization_spaces=False)
    tokenizer.chat_template = metadata["chat_template"]
    return tokenizer


def write_tokenizer(folder):
    """A byte-level one that suits any vocabulary: ids are what is tested."""
    tokens = ["<bos>", "<eos>",
              *sorted(ByteLevel.alphabet()), "th"]
    tokenizer = Tokenizer(models.BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=[("t", "h")]))
    tokenizer.pre_tokenizer = Sequence([
        Digits(individual_digits=True),
        ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False)
                                  for token in tokens[:2]])
    tokenizer.save(str(folder / "tokenizer.json"))
