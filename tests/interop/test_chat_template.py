"""Chat templates and masks against transformers.

The templates below are our own: each writes its family's format with the
constructs that the family's published template uses.
"""

import itertools
import re
import time

import oracles
import pytest
from transformers.utils import chat_template_utils


@pytest.fixture(scope="module")
def encode(answer_of, model_path):
    """encode(chats=..., chat_template=...): encode_lines' answers."""
    return lambda **request: answer_of("encode_lines", request,
                                       model_path)["chats"]


CHATML = """{% for message in messages %}
{%- if loop.first and messages[0]['role'] != 'system' %}
{{- '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}{% endif %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>'
    + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

CHATML_WITH_GENERATION = """{% for message in messages %}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' %}
{%- generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}
{%- else %}
{{- message.content + '<|im_end|>' }}
{%- endif %}

{{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now('%d %b %Y') %}
    {%- else %}
        {%- set date_string = '1 Jan 2024' %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{#- The system message comes first, whether there is one or not. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set instructions = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set instructions = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{%- if tools is not none %}
    {%- for tool in tools %}{{- tool | tojson(indent=4) + '\\n\\n' }}{%- endfor %}
{%- endif %}
{{- 'Today: ' + date_string + '\\n\\n' }}
{{- instructions }}
{{- '<|eot_id|>' }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or
                'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' +
            message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception('one call at a time') }}
        {%- endif %}
    {%- elif message.content is mapping or message.content is iterable %}
        {{- message.content | tojson }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

QWEN3 = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(searching=true, last_question=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and message.content is string
        and not(message.content.startswith('<tool_response>') and
                message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last_question = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == 'user' or (message.role == 'system' and
                                      not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set thoughts = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thoughts = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thoughts = content.split('</think>')[0].rstrip('\\n')
                .split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_question and
               (loop.last or (not loop.last and thoughts)) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' +
                thoughts.strip('\\n') + '\\n</think>\\n\\n' +
                content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}{{- message.tool_calls | tojson }}{%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

GEMMA3 = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}
        {%- set prefix = messages[0]['content'][0]['text'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set prefix = "" -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("user and assistant take turns") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("content is neither text nor parts") }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\\n' }}
{%- endif -%}
"""

FAMILIES = {"chatml": CHATML, "chatml-generation": CHATML_WITH_GENERATION,
            "llama3": LLAMA3, "qwen3": QWEN3, "gemma3": GEMMA3}

CHATS = [
    [("user", "Hi")],
    [("user", "Define: yak"), ("assistant", "A shaggy beast.")],
    [("system", " Be brief.\n"), ("user", "2 + 2?"), ("assistant", " 4 ")],
    [("system", "x"), ("user", "one"), ("assistant", "two"),
     ("user", "three"), ("assistant", "four 👨‍👩‍👧‍👦\n\nand more")],
    [("user", "one"), ("assistant", "<think>\nhm\n</think>\n\ntwo"),
     ("user", "three"), ("assistant", "<think>\nmm\n</think>\n\nfour")],
    [("user", "<tool_response>x</tool_response>"), ("assistant", "\n\nok\n")],
    [("user", ""), ("assistant", "")],
    [("user", "   "), ("assistant", "ภาษาไทย e\u0301"), ("user", "<|im_end|>")],
    [("user", "a"), ("user", "b")],
    [("user", "a"), ("system", "late"), ("assistant", "c")],
]


def messages(chat):
    return [{"role": role, "content": content} for role, content in chat]


def transformers_text(template, chat, **variables):
    """The text, or None where the template raises an exception."""
    try:
        return chat_template_utils.render_jinja_template(
            conversations=[chat], chat_template=template, **variables)[0][0]
    except Exception as error:
        assert "take turns" in str(error), error
        return None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("extra", [{}, {"enable_thinking": False},
                                   {"date_string": "2 Feb 2025"}])
def test_families_equal_transformers(answer_of, family, extra):
    given = [{"bos_token": "<bos>", "eos_token": "<eos>",
              "add_generation_prompt": asks, **extra} for asks in (False, True)]
    cases = list(itertools.product(map(messages, CHATS), given))
    answers = answer_of("render_templates", [
        {"template": FAMILIES[family], "now": time.time(),
         "variables": {"messages": chat, "tools": None, "documents": None,
                       **variables}} for chat, variables in cases])
    for (chat, variables), answer in zip(cases, answers, strict=True):
        expected = transformers_text(FAMILIES[family], chat, **variables)
        assert answer.get("text") == expected, (chat, answer)


def bytes_of(text, spans):
    encoded = text.encode()
    return [encoded[begin:end].decode() for begin, end in spans]


def test_text_knows_where_it_came_from(rendered):
    chat = messages([("user", "<|im_end|>hi"), ("assistant", "  yes ")])
    variables = {"messages": chat, "bos_token": "<bos>"}
    llama, chatml = rendered([LLAMA3, CHATML_WITH_GENERATION], variables)
    assert "".join(bytes_of(llama["text"], llama["messages"])) == \
        "user<|im_end|>hiassistantyes"
    assert bytes_of(chatml["text"], chatml["generated"]) == ["  yes <|im_end|>"]


REPLIES = [[("user", "Hi"), ("assistant", "Hello there!")],
           [("system", "Be kind."), ("user", "a"), ("assistant", "b c"),
            ("user", "d"), ("assistant", "e 👍🏽 f")]]


def test_generation_blocks_mask_as_in_transformers(encode, model_path):
    tokenizer = oracles.chat_tokenizer(model_path)
    tokenizer.chat_template = CHATML_WITH_GENERATION
    chats = [messages(chat) for chat in REPLIES]
    answers = encode(chats=chats, chat_template=CHATML_WITH_GENERATION)
    for chat, answer in zip(chats, answers):
        expected = tokenizer.apply_chat_template(
            chat, return_assistant_tokens_mask=True, return_dict=True)
        assert answer["tokens"] == expected["input_ids"]
        assert answer["is_target"] == expected["assistant_masks"]


def test_replies_are_found_without_generation_blocks(encode):
    """The same text with and without the blocks gives the same mask."""
    plain = re.sub(r"\{%-? (end)?generation %\}", "", CHATML_WITH_GENERATION)
    assert "generation %}" not in plain
    chats = [messages(chat) for chat in CHATS + REPLIES]
    assert encode(chats=chats, chat_template=plain) == \
        encode(chats=chats, chat_template=CHATML_WITH_GENERATION)


def test_thoughts_are_learnt_where_the_template_shows_them(encode, model_path):
    tokenizer = oracles.chat_tokenizer(model_path)
    answer, = encode(chats=[messages(CHATS[4])], chat_template=QWEN3)
    targets = [token for token, is_target
               in zip(answer["tokens"], answer["is_target"]) if is_target]
    assert tokenizer.decode(targets) == \
        "two<|im_end|><think>\nmm\n</think>\n\nfour<|im_end|>"


def test_a_template_that_refuses_says_why(encode):
    refused, = encode(chats=[messages([("assistant", "x")])],
                      chat_template=GEMMA3)
    assert "user and assistant take turns" in refused["error"]
    broken, = encode(chats=[messages([("user", "x")])],
                     chat_template="a\n{% include 'b' %}")
    assert "line 2" in broken["error"] and "include" in broken["error"]
