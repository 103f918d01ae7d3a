"""Tokenizers and chat templates as their makers published them, one of each
family: ids, text and masks against transformers."""

import itertools
import json
import time

import corpus
import pytest
from transformers import AutoTokenizer

from conftest import ROOT
from test_chat_template import CHATS, REPLIES, messages

PUBLISHED = ROOT / "data" / "tokenizers"
FAMILIES = ["llama3_2", "qwen2_5", "qwen3", "gemma3"]
# In training, a template that prints the date prints this one.
TRAINING_DATE = {"date_string": "26 Jul 2024"}


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request):
    path = PUBLISHED / request.param
    assert path.is_dir(), f"{path} is missing: run scripts/test.sh"
    return path


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def test_ids_of_20_000_strings(answer_of, folder, tokenizer):
    texts = corpus.strings()
    got = answer_of("encode_lines", {"texts": texts}, folder)["ids"]
    library = tokenizer.backend_tokenizer
    library.encode_special_tokens = True
    expected = [encoding.ids for encoding
                in library.encode_batch_fast(texts, add_special_tokens=False)]
    library.encode_special_tokens = False
    compared = [corpus.has_the_same_form(library.normalizer, text)
                for text in texts]
    assert compared.count(False) < 50
    corpus.assert_same(*(list(itertools.compress(values, compared))
                         for values in (texts, got, expected)))


def text_of(tokenizer, chat, **variables):
    """transformers' text, or None where the template raises an exception."""
    try:
        return tokenizer.apply_chat_template(chat, tokenize=False, **variables)
    except Exception as error:
        assert "must alternate" in str(error), error
        return None


@pytest.mark.parametrize("extra", [{}, TRAINING_DATE,
                                   {"enable_thinking": False}])
def test_text_of_the_template(answer_of, folder, tokenizer, extra):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    named = {name: config[name] for name in ("bos_token", "eos_token")
             if config.get(name)}
    given = [{"add_generation_prompt": asks, **extra}
             for asks in (False, True)]
    cases = list(itertools.product(map(messages, CHATS), given))
    answers = answer_of("render_templates", [
        {"template": config["chat_template"], "now": time.time(),
         "variables": {"messages": chat, "tools": None, "documents": None,
                       **named, **variables}} for chat, variables in cases])
    for (chat, variables), answer in zip(cases, answers, strict=True):
        expected = text_of(tokenizer, chat, **variables)
        assert answer.get("text") == expected, (chat, answer)


def is_plain(chat):
    """No content that transformers would take for control tokens."""
    return not any("<|" in content for _, content in chat)


def test_ids_of_chats(answer_of, folder, tokenizer):
    chats = [messages(chat) for chat in CHATS + REPLIES if is_plain(chat)]
    chats = [chat for chat in chats
             if text_of(tokenizer, chat, **TRAINING_DATE) is not None]
    assert len(chats) > 6
    answers = answer_of("encode_lines", {"chats": chats}, folder)["chats"]
    for chat, answer in zip(chats, answers, strict=True):
        for key, asks in (("tokens", False), ("prompt", True)):
            expected = tokenizer.apply_chat_template(
                chat, add_generation_prompt=asks, **TRAINING_DATE)
            assert answer[key] == expected, chat


def test_masks_are_the_replies(answer_of, folder, tokenizer):
    """What transformers masks where the template marks the replies: their text
    and the end of the turn."""
    chats = [messages(chat) for chat in REPLIES]
    answers = answer_of("encode_lines", {"chats": chats}, folder)["chats"]
    for chat, answer in zip(chats, answers, strict=True):
        runs = itertools.groupby(zip(answer["is_target"], answer["tokens"]),
                                 key=lambda pair: pair[0])
        learnt = [tokenizer.decode([token for _, token in run])
                  for is_target, run in runs if is_target]
        replies = [message["content"] for message in chat
                   if message["role"] == "assistant"]
        assert len(learnt) == len(replies)
        for text, reply in zip(learnt, replies):
            # Qwen 3 puts empty thoughts before the last reply.
            text = text.removeprefix("<think>\n\n</think>\n\n")
            assert text.startswith(reply)
            end = text[len(reply):]
            assert end.strip() in ("<|im_end|>", "<|eot_id|>", "<end_of_turn>")
