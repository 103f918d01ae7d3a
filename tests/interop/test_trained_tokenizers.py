"""Tokenizers of every kind that tokenizer.json knows, trained here: the ids of
20,000 strings against Hugging Face's library, and of those that a GGUF can say
against llama.cpp."""

import itertools
import json
import random
import unicodedata

import corpus
import pytest
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models,
                        normalizers, pre_tokenizers, trainers)

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CONTROLS = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
ADDED = ["<tool>", "[INST]", "  ", "ab"]


def split_by(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2():
    return pre_tokenizers.ByteLevel(add_prefix_space=False)


def smollm():
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), gpt2()])


def byte_level(texts, pre_tokenizer, normalizer=None):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=2000, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def changed(tokenizer, **options):
    """The same with other options of its model, and bytes that are no added
    tokens, which the trainer makes of them."""
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [token for token in document["added_tokens"]
                                if token["content"] not in BYTES]
    document["model"].update(options)
    return Tokenizer.from_str(json.dumps(document))


def llama3(texts):
    """Without every seventh merge: ignore_merges makes up for those."""
    tokenizer = byte_level(texts, split_by(LLAMA3))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return changed(tokenizer, ignore_merges=True, merges=[
        merge for i, merge in enumerate(merges) if i % 7])


def llama2(texts, **options):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=2000, special_tokens=CONTROLS + BYTES, limit_alphabet=200,
        show_progress=False))
    return changed(tokenizer, **options)


def in_single_precision(tokenizer):
    """The same with scores that a GGUF holds as they are, and tokenizers reads
    as they are: of more digits it gets the last wrong."""
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    return changed(tokenizer, vocab=[[token, round(score * 1024) / 1024]
                                     for token, score in vocabulary])


def unigram(texts, byte_fallback, **metaspace):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        [text for text in texts if all(ord(c) < 0x500 for c in text)][:800],
        trainers.UnigramTrainer(
            vocab_size=1500, special_tokens=CONTROLS + BYTES,
            unk_token="<unk>", show_progress=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(**metaspace)
    return changed(tokenizer, byte_fallback=byte_fallback)


TOKENIZERS = {
    "gpt2": lambda texts: byte_level(texts, gpt2()),
    "gpt-neox": lambda texts: byte_level(texts, gpt2(), normalizers.NFC()),
    "smollm": lambda texts: byte_level(texts, smollm()),
    "llama3": llama3,
    "qwen2": lambda texts: byte_level(texts, split_by(QWEN2), normalizers.NFC()),
    "llama2": lambda texts: llama2(texts, byte_fallback=True, fuse_unk=True),
    "bpe-unknown": lambda texts: llama2(texts, fuse_unk=False),
    "bpe-unknown-fused": lambda texts: llama2(texts, fuse_unk=True),
    "unigram": lambda texts: unigram(texts, True),
    "unigram-unknown": lambda texts: unigram(
        texts, False, prepend_scheme="first", split=False),
    "unigram-unprefixed": lambda texts: in_single_precision(unigram(
        texts, False, prepend_scheme="never")),
}
# Those that a GGUF cannot say, and why.
REFUSALS = {
    "bpe-unknown": "byte_fallback = false",
    "bpe-unknown-fused": "byte_fallback = false",
    "unigram": "byte_fallback = true",
    "unigram-unknown": "a space before other texts",
}


@pytest.fixture(scope="module")
def texts():
    pick = random.Random(9)
    found = corpus.strings()
    for text in pick.sample(found, 1000):
        at = pick.randrange(len(text) + 1)
        found.append(text[:at] + pick.choice(ADDED) + text[at:])
    return found


@pytest.fixture(scope="module")
def training_texts(texts):
    return random.Random(10).sample(texts, 3000)


def is_comparable(tokenizer, text):
    """Hugging Face's unigram model makes control and byte tokens of their text,
    as SentencePiece's and ours do not."""
    if not corpus.has_the_same_form(tokenizer.normalizer, text):
        return False
    return not (isinstance(tokenizer.model, models.Unigram) and
                any(token in text for token in (*CONTROLS, "<0x")))


@pytest.fixture(scope="module")
def trained(training_texts, tmp_path_factory):
    """trained(name): the tokenizer and a folder with it, made once."""
    made = {}

    def run(name):
        if name not in made:
            tokenizer = TOKENIZERS[name](training_texts)
            tokenizer.add_tokens(
                [AddedToken(text, normalized=False) for text in ADDED])
            folder = tmp_path_factory.mktemp(name)
            tokenizer.save(str(folder / "tokenizer.json"))
            made[name] = tokenizer, folder
        return made[name]

    return run


@pytest.mark.parametrize("name", TOKENIZERS)
def test_ids_equal_hugging_face(answer_of, texts, trained, name):
    tokenizer, folder = trained(name)
    tokenizer.encode_special_tokens = True
    got = answer_of("encode_lines", {"texts": texts}, folder)["ids"]
    expected = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    compared = [is_comparable(tokenizer, text) for text in texts]
    assert compared.count(False) < 50
    corpus.assert_same(*(list(itertools.compress(values, compared))
                         for values in (texts, got, expected)))


def write_model(folder, vocabulary):
    """The least that a tokenizer can be exported with."""
    from transformers import LlamaConfig, LlamaForCausalLM
    LlamaForCausalLM(LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=32,
        num_hidden_layers=1, num_attention_heads=1, max_position_embeddings=64,
        tie_word_embeddings=True)).save_pretrained(folder)


def exported(tandem, tokenizer, folder, code=0):
    """A GGUF with rows that have no token, or the reason why there is none."""
    write_model(folder, tokenizer.get_vocab_size() + 3)
    printed = tandem("export", "--model", folder, "--format", "gguf",
                     "--out", folder / "model.gguf", code=code)
    return printed if code else folder / "model.gguf"


def as_for_llama_cpp(tokenizer, texts):
    """In form C where the tokenizer brings them to it, which llama.cpp leaves
    out; without the names of control tokens, which it merges like text, and
    without NUL: it cuts off tokens there."""
    if isinstance(tokenizer.normalizer, normalizers.NFC):
        texts = [unicodedata.normalize("NFC", text) for text in texts]
    return [text for text in texts
            if not any(token in text for token in [*CONTROLS, "\0"])]


@pytest.mark.parametrize("name", [name for name in TOKENIZERS
                                  if name not in REFUSALS])
def test_the_gguf_gives_the_same_ids(tandem, answer_of, llama, texts, trained,
                                     name):
    tokenizer, folder = trained(name)
    texts = as_for_llama_cpp(tokenizer, texts)
    path = exported(tandem, tokenizer, folder)
    ids = answer_of("encode_lines", {"texts": texts}, folder)["ids"]
    corpus.assert_same(
        texts, answer_of("encode_lines", {"texts": texts}, path)["ids"], ids)
    corpus.assert_same(texts, llama(path, texts=texts)["ids"], ids)


def with_flag(path, key):
    """The same GGUF with a true for a false."""
    key = f"tokenizer.ggml.{key}".encode()
    data = bytearray(path.read_bytes())
    at = data.index(key) + len(key) + 4  # after the value's type
    assert data[at] == 0
    data[at] = 1
    changed_path = path.with_name("changed.gguf")
    changed_path.write_bytes(data)
    return changed_path


@pytest.mark.parametrize("key", ["add_space_prefix",
                                 "remove_extra_whitespaces"])
def test_spaces_of_a_unigram_gguf(tandem, answer_of, llama, texts, trained,
                                  key):
    """What tokenizer.json cannot say, nor its unigram be exported with."""
    tokenizer, folder = trained("unigram-unprefixed")
    path = with_flag(exported(tandem, tokenizer, folder), key)
    texts = as_for_llama_cpp(tokenizer, texts) + [
        "   ", " [INST] ", "▁", " a▁ ", "[INST]  ▁ b[INST]ab", "a  ab  b"]
    ids = answer_of("encode_lines", {"texts": texts}, path)["ids"]
    corpus.assert_same(texts, ids, llama(path, texts=texts)["ids"])


@pytest.mark.parametrize("name", REFUSALS)
def test_what_a_gguf_cannot_say_is_refused(tandem, trained, name):
    tokenizer, folder = trained(name)
    assert REFUSALS[name] in exported(tandem, tokenizer, folder, code=1)
