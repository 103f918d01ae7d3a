"""The ids of 20,000 strings: real tokenizers against Hugging Face's library and
llama.cpp."""

import itertools

import corpus
import oracles
import pytest
from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

from conftest import GEMMA, MODEL


@pytest.fixture(scope="module")
def texts():
    return corpus.strings()


def ids_of(tokenizer, texts):
    """Hugging Face's, with the text of special tokens as ordinary text."""
    tokenizer.encode_special_tokens = True
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]


def has_all_bytes(metadata):
    """A predicate: the byte-level vocabulary has a token for each byte.

    Hugging Face leaves the others out before it merges, so that what stood on
    either side may merge; llama.cpp does not merge across, nor do we.
    """
    tokens = set(metadata["ggml.tokens"])
    lacking = {byte for byte, character in bytes_to_unicode().items()
               if character not in tokens}
    return lambda text: lacking.isdisjoint(text.encode())


def test_smollm2(answer_of, llama, texts):
    metadata = oracles.GgufMetadata(MODEL)
    got = answer_of("encode_lines", {"texts": texts}, MODEL)["ids"]
    corpus.assert_same(texts, got, llama(MODEL, texts=texts)["ids"])
    encodable = list(map(has_all_bytes(metadata), texts))
    texts = list(itertools.compress(texts, encodable))
    expected = ids_of(oracles.byte_level_tokenizer(metadata), texts)
    corpus.assert_same(texts, list(itertools.compress(got, encodable)), expected)


def test_gemma_3(answer_of, llama, texts):
    # llama.cpp takes any token of this name for an end of turn, against the
    # type that the file gives it, and so never finds it in plain text.
    texts = [text for text in texts if "</s>" not in text]
    got = answer_of("encode_lines", {"texts": texts}, GEMMA)["ids"]
    corpus.assert_same(texts, got, llama(GEMMA, texts=texts)["ids"])
    metadata = oracles.GgufMetadata(GEMMA)
    expected = ids_of(oracles.sentence_piece_tokenizer(metadata), texts)
    corpus.assert_same(texts, got, expected)
