"""SentencePiece's tokenizer.model: models trained here, the ids of 20,000
strings against the sentencepiece package."""

import io
import random

import corpus
import pytest
import sentencepiece

USER_DEFINED = ["<sep>", "[INST]", "ab", "abc", "▁▁", "<0x41>x"]
# What the trainer is told beyond the type of the model.
OPTIONS = {
    "llama": dict(byte_fallback=True, remove_extra_whitespaces=False),
    "defaults": dict(),
    "user-defined": dict(
        byte_fallback=True, remove_extra_whitespaces=False, split_digits=True,
        add_dummy_prefix=False, allow_whitespace_only_pieces=True,
        user_defined_symbols=USER_DEFINED),
    "user-defined-prefixed": dict(user_defined_symbols=USER_DEFINED),
}


@pytest.fixture(scope="module")
def texts():
    pick = random.Random(8)
    found = corpus.strings()
    for text in pick.sample(found, 1000):
        middle = pick.choice([*USER_DEFINED, "<s>", "</s>", "<unk>", "▁"])
        found.append(text + middle + text[:pick.randrange(len(text) + 1)])
    return found


@pytest.fixture(scope="module")
def training_texts(texts):
    pick = random.Random(7)
    plain = [text for text in texts if all(ord(c) < 0x500 for c in text)]
    return [text for text in pick.sample(plain, 2000) if "\0" not in text]


def train(texts, kind, options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=out, vocab_size=1200,
        model_type=kind, minloglevel=2, character_coverage=0.999,
        normalization_rule_name="identity", **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("options", OPTIONS)
def test_ids_equal_sentencepiece(answer_of, texts, training_texts, tmp_path,
                                 kind, options):
    model = train(training_texts, kind, OPTIONS[options])
    (tmp_path / "tokenizer.model").write_bytes(model)
    reference = sentencepiece.SentencePieceProcessor(model_proto=model)
    corpus.assert_same(
        texts, answer_of("encode_lines", {"texts": texts}, tmp_path)["ids"],
        reference.encode(texts, num_threads=2))
