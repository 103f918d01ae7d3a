"""Reference tokenizer: Hugging Face's library, fed from a GGUF's metadata.

transformers' own conversion of GGUF tokenizers is wrong for SmolLM2: it takes
GPT-2's pre-tokenizer where the file says `smollm`, so that "2024" is one piece.
"""

from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import PreTrainedTokenizerFast

CONTROL = 3  # of GGUF's token types


class GgufMetadata:
    """The `tokenizer.*` keys of a GGUF file."""

    def __init__(self, path):
        self._fields = GGUFReader(path).fields

    def __getitem__(self, key):
        return self._fields["tokenizer." + key].contents()


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
