"""Our Jinja and chat masks against jinja2 and transformers.

The templates below are our own: each writes its family's format with the
constructs that the family's published template uses.
"""

import json
import os
import pathlib
import re
import resource
import subprocess
import time

import oracles
import pytest
from transformers.utils import chat_template_utils

from conftest import ROOT

BINARIES = pathlib.Path(
    os.environ.get("TANDEM_BIN_DIR", ROOT / "build/release/bin"))


def answer_of(tmp_path_factory, program, request, *arguments):
    path = tmp_path_factory.mktemp("requests") / "request.json"
    path.write_text(json.dumps(request))
    done = subprocess.run([BINARIES / program, *arguments, path],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """ours(templates, variables): render_templates' answers."""

    def run(templates, variables, now=0):
        return answer_of(tmp_path_factory, "render_templates", [
            {"template": template, "variables": variables, "now": now}
            for template in templates])

    return run


@pytest.fixture(scope="module")
def encode(tmp_path_factory, model_path):
    """encode(chats=..., chat_template=...): encode_lines' answers."""
    return lambda **request: answer_of(
        tmp_path_factory, "encode_lines", request, model_path)["chats"]


def jinja2_text(template, variables):
    """The text, or None where jinja2 as transformers sets it up refuses."""
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        return compiled.render(**variables)
    except Exception:
        return None


VARIABLES = {
    "messages": [{"role": "system", "content": "  Be brief.\n"},
                 {"role": "user", "content": "Grüße, <b>\"you\"</b> 👍🏽"},
                 {"role": "assistant", "content": ""},
                 {"role": "user", "content": "a\u00a0b\tc\u2003\n\nd"}],
    "words": ["the", "quick", "brown", "fox"],
    "n": 3, "f": 1.5, "s": "one two  three", "e": "  naïve café ",
    "d": {"b": 1, "a": [1, 2.5, None, True, "x\"y\\z\n\u0001~"], "items": 7},
    "empty": [], "none": None, "t": True, "nested": [[1, [2]], {"k": {"l": 3}}],
}

# Each is rendered by both, who must agree on the text, or both refuse.
SNIPPETS = """
{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }}
{{ 7 / 2 }} {{ 6 / 3 }} {{ 2 ** 10 }} {{ 2 ** 3 ** 2 }} {{ 2 ** -1 }} {{ -2 ** 2 }}
{{ 1.0 }} {{ 1e16 }} {{ 1e15 }} {{ 1.5e-5 }} {{ 0.0001 }} {{ 1e300 * 10 }} {{ 0.1 + 0.2 }}
{{ f * 2 }} {{ f // 1 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ 1_000 }} {{ 1e3 }} {{ 5 - -3 }}
{{ 1 / 0 }}
{{ 5 % 0 }}
{{ true + 1 }} {{ True }} {{ None }} {{ none }} {{ false }}
{{ 'a' + 1 }}
{{ 'a' ~ 1 ~ none ~ true ~ 2.0 ~ undefined_name }}
{{ 'ab' * 3 }} {{ 3 * 'x' }} {{ 'x' * -1 }}
{{ [1, 2] + [3] }} {{ (1, 2) + (3,) }} {{ () }} {{ (1,) }}
{{ [1] + (2,) }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }}
{{ 'a' < 1 }}
{{ 'a' == 1 }} {{ none == false }} {{ [] == () }} {{ d == d }} {{ 1 != 2 }}
{{ 'qu' in 'quick' }} {{ 'x' not in words }} {{ 'the' in words }} {{ 'b' in d }} {{ 1 in d }}
{{ 1 in 'abc' }}
{{ 'x' in undefined_name }} {{ undefined_name == other_undefined }}
{{ 1 in none }}
{{ not 1 }} {{ not not '' }} {{ 1 and 0 }} {{ 0 or 'x' }} {{ '' or none }} {{ 1 or 1 / 0 }}
{{ 'yes' if t else 'no' }} {{ 'yes' if none }} {{ 'a' if 0 else 'b' if 0 else 'c' }}
{{ messages[0].role }} {{ messages[0]['role'] }} {{ messages.0.role }} {{ messages[-1].role }}
{{ messages[9] }} {{ messages[0].nothing }} {{ messages[0]['nothing'] }}
{{ messages[9].role }}
{{ undefined_name.x }}
{{ undefined_name['x'] }}
{{ none.x }}|{{ n.x is defined }}|{{ 'abc'.x is defined }}
{{ messages[1:] | length }} {{ messages[:2] | length }} {{ words[::-1] }} {{ words[1:-1] }} {{ words[::2] }}
{{ words[10:] }} {{ words[-2:] }} {{ words[5::-2] }} {{ words[:] }} {{ words[none:2] }} {{ words[-10:10:3] }}
{{ 'abcdef'[::-1] }} {{ e[2:5] }} {{ e[::-1] }} {{ e[3] }} {{ e[-1] }} {{ 'x'[5] }}
{{ words[::0] }}
{{ words['a':] }}
{{ n[1:] }}
{{ d.b }} {{ d['items'] }} {{ d.a[1] }} {{ nested[1].k.l }} {{ nested[0][1][0] }}
{{ words }} {{ (1, 'a') }} {{ ['it\\'s', "q\\"", 'b\\\\'] }} {{ {'a': 1, 'b': [none]} }} {{ [1.0, true] }}
{{ {'a': 1}['a'] }} {{ {'a': 1}.a }} {{ {} }} {{ [] }} {{ [1, 2,] }}
{{ e | trim }}|{{ e | trim | length }}|{{ e | length }}|{{ 'xxaxx' | trim('x') }}
{{ 42 | trim }}|{{ none | trim }}|{{ undefined_name | trim }}
{{ s | upper }} {{ s | title }} {{ 'aB cD' | capitalize }} {{ 'ABC' | lower }} {{ "it's a-b (c) [d]" | title }}
{{ "it's a-b (c)".title() }} {{ 'aB'.capitalize() }} {{ 'x'.upper() }} {{ 'X'.lower() }}
{{ d | tojson }} {{ 'é<&>' | tojson }} {{ 1.0 | tojson }} {{ none | tojson }} {{ words | tojson }}
{{ d | tojson(indent=2) }} {{ [] | tojson(indent=2) }} {{ {} | tojson(indent=4) }} {{ nested | tojson(indent=4) }}
{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ (1, 2) | tojson }}
{{ undefined_name | tojson }}
{{ words | map('upper') | tojson }}
{{ words | join(', ') }} {{ words | join }} {{ [1, none, 'x'] | join('-') }} {{ 'abc' | join('.') }}
{{ messages | join(', ', attribute='role') }} {{ messages | map(attribute='role') | join('/') }}
{{ words | first }} {{ words | last }} {{ empty | first }} {{ 'héy' | last }} {{ 'é' | first }}
{{ words | map('length') | list }} {{ words | map('upper') | join }} {{ [1, 2] | map('string') | list }}
{{ messages | map(attribute='missing', default='none') | list }} {{ nested | map(attribute='0') | list }}
{{ words | map | list }}
{{ messages | selectattr('role', 'eq', 'user') | list | length }} {{ messages | rejectattr('role', '==', 'user') | map(attribute='role') | list }}
{{ messages | selectattr('content') | list | length }} {{ [0, 1, 2, 3] | select('odd') | list }} {{ [0, 1, ''] | reject | list }} {{ [1, 2] | select | list }}
{{ messages | selectattr('role', 'in', ['user', 'tool']) | list | length }} {{ ['a', 'b'] | reject('equalto', 'a') | join }}
{{ 'yes' if messages | selectattr('role', 'eq', 'nobody') else 'no' }}
{{ words | reverse | list }} {{ 'héy' | reverse }} {{ words | list }} {{ 'ab' | list }} {{ d | list }}
{{ words | map('upper') | length }}
{{ words | reverse | last }}
{{ nothing | default('x') }} {{ none | default('x') }} {{ '' | default('x', true) }} {{ '' | d('y', boolean=true) }} {{ nothing | default }}|
{{ nothing | default(value='x') }}
{{ 12 | string + '3' }} {{ '12' | int + 3 }} {{ 'x' | int }} {{ '1.9' | int }} {{ 2.7 | int }} {{ 'x' | int(5) }} {{ '1.5' | float }} {{ 'q' | float }}
{{ s | replace('o', '0') }} {{ s | replace('o', '0', 1) }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'abc'.replace('b', '') }}
{{ d | items | list }} {{ nothing | items | list }} {{ d.items() | list | length }} {{ {'x': 1}.items() | list }}
{{ words | items | list }}
{{ {'x': 1}.keys() | list }} {{ {'x': 1}.values() | list }} {{ d.get('b') }} {{ d.get('zz') }} {{ d.get('zz', 5) }}
{{ -3 | abs }} {{ -n | abs }} {{ words | count }} {{ nothing | length }}
{{ none | length }}
{{ 5 | length }}
{{ e.strip() }}|{{ e.lstrip() }}|{{ e.rstrip() }}|{{ 'xyaxy'.strip('xy') }}|{{ 'xa'.lstrip('x') }}|{{ 'ax'.rstrip('x') }}|{{ ' \\u2003a\\u00a0'.strip() }}|
{{ s.split() }} {{ s.split(' ') }} {{ s.split(' ', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ s.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ ' a  b '.split(none, 1) }}
{{ 'a</think>b</think>c'.split('</think>')[-1].lstrip('\\n') }} {{ 'a\\nb\\r\\nc'.splitlines() }} {{ 'a\\n'.splitlines(true) }}
{{ s.startswith('one') }} {{ s.endswith('two') }} {{ s.startswith(('x', 'o')) }} {{ s.find('two') }} {{ e.find('café') }} {{ s.count('e') }}
{{ ', '.join(words) }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 'abc'.removesuffix('x') }}
{{ s.split('') }}
{{ s.nothing() }}
{{ s.startswith(1) }}
{{ ', '.join([1]) }}
{{ words.append('x') }}
{{ s.real is defined }} {{ n.role is defined }}
{{ n is number }} {{ f is float }} {{ n is integer }} {{ t is integer }} {{ t is number }} {{ t is boolean }} {{ t is true }} {{ 1 is true }} {{ none is none }} {{ false is false }}
{{ s is string }} {{ d is mapping }} {{ words is sequence }} {{ s is sequence }} {{ d is sequence }} {{ words is iterable }} {{ n is iterable }} {{ nothing is iterable }} {{ nothing is sequence }} {{ none is iterable }}
{{ s is defined }} {{ nothing is defined }} {{ nothing is undefined }} {{ nothing is not defined }} {{ not nothing is defined }} {{ d.zz is defined }} {{ d.b is defined and d.b == 1 }}
{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }} {{ 1 is eq 1 }} {{ 1 is ne(2) }} {{ 'a' is in ['a'] }} {{ 2 is gt 1 }} {{ 1 is le 1 }}
{{ 'x' is odd }}
{{ 1 is nonsense }}
{{ 1 | nonsense }}
{{ strftime_now is defined }} {{ raise_exception is defined }} {{ namespace is callable }} {{ s is callable }}
{% for w in words %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}
{% for w in words %}{{ loop.previtem }}<{{ w }}>{{ loop.nextitem }} {% if loop.nextitem is defined %},{% endif %}{% endfor %}
{% for w in words if w != 'quick' %}{{ loop.index }}{{ w }}{% else %}none{% endfor %}{% for w in empty %}x{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for (a, b) in [(1, 2), [3, 4], 'xy'] %}{{ a }}{{ b }}{% endfor %}
{% for k in d %}{{ k }}{% endfor %}{% for c in 'héy' %}[{{ c }}]{% endfor %}{% for x in nothing %}x{% endfor %}
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}{{ range(4) | list }} {{ range(2) | length }}
{{ range(1000000) | list | length }}
{% for i in range(3) %}{% for j in range(2) %}{{ loop.index }}{{ loop.depth }}{% endfor %}{{ loop.index }} {% endfor %}
{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in range(4) %}{{ loop.cycle('a', 'b') }}{% endfor %}
{% break %}
{% set x = 1 %}{% for i in range(2) %}{{ x }}{% set x = x + 5 %}{{ x }} {% endfor %}{{ x }}
{% set ns = namespace(x=1, y='a') %}{% for i in range(3) %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.zz is defined }}
{% set d.b = 2 %}
{% set nothing.x = 2 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (a, b) = [3, 4] %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}
{% set x %} in {{ s }} {% endset %}[{{ x }}]{{ x is string }}
{% if n == 3 %}three{% elif n == 4 %}four{% else %}other{% endif %}{% if not n %}no{% endif %}{% if empty %}x{% else %}empty{% endif %}
{% if t %}{% set inner = 5 %}{% endif %}{{ inner }}
{% macro m(a, b='B', c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m() }}{{ m(1) is string }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(x=2) }}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}{% for x in range(2) %}{{ m() }}{% endfor %}
{{ raise_exception('stop here') }}
{{ nothing() }}
{{ s() }}
{# a comment #}a{#- b -#} c {#+ d +#}
  {% if true %}  
  x
  {% endif %}  
y
  {%- if true -%}  
  x
  {%- endif -%}  
y
  {%+ if true +%}
  x
  {% endif %}
{{ '{{' }} { % } {{- ' %} ' -}} {{ "}}" }}
a {{- ' b ' -}} c
{{ 'a' 'b' "c" }} {{ 'tab\\tnl\\\\n\\x41\\u00e9\\101\\q' }} {{ "it's" }} {{ 'say "x"' }}
{{ {'a': {'b': 1}}.a.b }}{{ {'a': {'b': 1}}['a']}}
{{ (n + 1) * 2 }} {{ (words | first).upper() }} {{ 'a'.upper().lower() }} {{ n + 1 | string | length }}
{{ 'a' ~ 1 + 2 }}
{{ 1 + 2 ~ 'x' }}
{{ - n }} {{ + n }} {{ -n * 2 }} {{ not n == 3 }} {{ -f }} {{ - - n }}
{{ 1 if t }}{{ (1 if false) is defined }}
{{ x is defined if t else 'no' }}
{{ s is string and n is number or false }} {{ s is string ~ 'x' }}
{{ 1, 2 }} {{ messages[0]['content'] | trim + '!' }}
{{ messages[1].content | tojson }} {{ messages[3].content.split() | length }} {{ messages[3].content | length }}
{{ loop is defined }} {{ self is defined if false else 1 }}
{% generation %}in{% set z = 1 %}{% endgeneration %}{{ z is defined }}
{% for m in messages[::-1] %}{% set i = (messages|length - 1) - loop.index0 %}{{ i }}{{ m.role }} {% endfor %}
{% set messages = messages[1:] %}{{ messages[0].role }}{% set x = messages %}{{ x | length }}
{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ loop.index }}{% endif %}{% endfor %}
{{ '%s' | trim }} {{ 'é' < 'f' }} {{ '\\U0001F44D' | length }} {{ 'a\\
b' }}
{{ unclosed
{% if true %}
{% endif %}
{% unknown %}
{{ 1 + }}
{{ (1 }}
{{ 'unclosed }}
{# unclosed
{{ a b }}
{{ [1, 2 }}
{{ m(a=1, 2) }}
{% for x in %}{% endfor %}
{% set %}
{{ 1 ! 2 }}
{% else %}
{{ x is }}
{{ x | }}
""".strip("\n").split("\n")

# Snippets of several lines, for the rules of white space.
BLOCKS = [
    "{% for w in words %}\n  {{ w }}\n{% endfor %}\nend\n",
    "{% for w in words -%}\n  {{ w }}\n{%- endfor %}\n\nend\n\n",
    "  {% if t %}\n    yes\n  {% else %}\n    no\n  {% endif %}\n",
    "a\n  {# c #}\n  b {# c #}\n\n  {#- c #}\nd",
    "\t{%- if t %}\n x\n\t{%- endif %}\n\n  {{- 'y' }}\n  {{ 'z' -}}\n  w",
    "x  {%+ if t %}\n  y\n  {%+ endif %}\nz",
    "a\r\n{% if t %}\r\nb\r{% endif %}c\r\n",
    "{% set x = [\n 1,\n 2,\n] %}\n{{ x }}\n",
    "{{ {\n 'a': 1,\n 'b': {'c': 2}} | tojson }}\n\n",
    "\n{% if t %}{% if t %}\n\n{% endif %}{% endif %}\n \n",
    "{% macro m(a) %}\n  {{ a }}\n{% endmacro %}\n{{ m(1) }}{{ m(2) -}}\n\nz",
    "a \u2003\n{%- if t -%}\u00a0\n b{% endif %}",
    "  {{ n }}\n  {% set x = 1 %} \n  {{ x }}",
    "{%- for m in messages %}\n    {%- if m.role == 'user' %}\n"
    "        {{- '<u>' + m.content|trim }}\n    {%- else %}\n"
    "        {{- '<o>' }}\n    {%- endif %}\n{%- endfor %}\n",
]


def test_snippets_equal_jinja2(ours):
    snippets = SNIPPETS + BLOCKS
    assert len(snippets) >= 150
    wrong = []
    for snippet, answer in zip(snippets, ours(snippets, VARIABLES)):
        expected = jinja2_text(snippet, VARIABLES)
        if answer.get("text") != expected:
            wrong.append((snippet, answer, expected))
    assert not wrong, f"{len(wrong)} of {len(snippets)}: {wrong[:10]}"


# What jinja2 renders and the subset leaves out: (source, line, what is named).
REFUSED = [
    ("a\n{% include 'x' %}", 2, "include"),
    ("{% raw %}{{ x }}{% endraw %}", 1, "raw"),
    ("{% call m() %}{% endcall %}", 1, "call"),
    ("{% with a = 1 %}{{ a }}{% endwith %}", 1, "with"),
    ("{% for x in words recursive %}{% endfor %}", 1, "recursive"),
    ("\n\n{{ words | sort }}", 3, "sort"),
    ("{{ '%s' % 1 }}", 1, "%"),
    ("{{ 1 is sameas 1 }}", 1, "sameas"),
    ("{{ s.swapcase() }}", 1, "swapcase"),
    ("{{ dict(a=1) }}", 1, "dict"),
    ("{{ e | upper }}", 1, "ASCII"),
    ("{{ m(*words) }}", 1, "*"),
    ("{{ s.__class__ }}", 1, "__class__"),
    ("{{ n.real }}", 1, "real"),
    ("{{ [e] }}", 1, "ASCII"),
]


def test_what_is_left_out_is_named(ours):
    answers = ours([source for source, _, _ in REFUSED], VARIABLES)
    for (source, line, name), answer in zip(REFUSED, answers):
        assert f"line {line}" in answer["error"], (source, answer)
        assert name in answer["error"], (source, answer)


HOSTILE = [
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}"
    "{% endfor %}",
    "{% set ns = namespace(s='x') %}{% for i in range(99) %}"
    "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}"
    "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(30) %}"
    "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l == ns.l }}{{ ns.l }}",
    "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}"
    "{% set ns.l = [ns.l] %}{% endfor %}",
    "{% set ns = namespace() %}{% set ns.x = ns %}{% set ns.x = [ns] %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{{ m(n) ~ m(n) }}{% endmacro %}{{ m(1) }}",
    "{{ 'x' * 9999999999999 }}", "{{ 2 ** 99999 }}", "{{ 9 ** 9 ** 9 }}",
    "{{ 9223372036854775807 + 1 }}", "{{ 99999999999999999999 }}",
    "{{ (-9223372036854775807 - 1) // -1 }}",
    "{{ " + "(" * 9999 + ")" * 9999 + " }}", "{{ " + "[" * 9999 + " }}",
    "{{ " + "-" * 9999 + "1 }}", "{{ " + "1+" * 99999 + "1 }}",
    "{{ " + "x." * 99999 + "x }}", "{{ 1" + "|abs" * 99999 + " }}",
    "{% if true %}" * 9999, "{% if x is not " * 999, "{" * 9999 + "{{",
    "{{ words" + "[0]" * 99999 + " }}",
    "{{ 'x'.replace('', 'y') }}", "{{ ('x' * 9999).replace('x', 'y' * 99999) }}",
    "{{ words | tojson(indent=999999999999) }}",
    "{{ strftime_now('%c' * 99999) }}",
]


def test_hostile_templates_end_soon(ours):
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    for source, answer in zip(HOSTILE, ours(HOSTILE, VARIABLES)):
        assert "error" in answer, (source[:80], str(answer)[:80])
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert end.ru_utime - begin.ru_utime < 20  # seconds, all of them
    assert end.ru_maxrss < 2 << 20  # KiB


def test_numerals_of_the_date(ours):
    """Python's strftime at the same moment, in the local time zone."""
    now, formats = 1_700_000_000, ["%d %b %Y", "%Y-%m-%d", "%B %d, %A", "%%"]
    sources = [f"{{{{ strftime_now('{text}') }}}}" for text in formats]
    answers = ours(sources, {}, now=now)
    assert [answer["text"] for answer in answers] == [
        time.strftime(text, time.localtime(now)) for text in formats]


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
def test_families_equal_transformers(ours, family, extra):
    for chat in map(messages, CHATS):
        for asks in (False, True):
            given = {"bos_token": "<bos>", "eos_token": "<eos>",
                     "add_generation_prompt": asks, **extra}
            variables = {"messages": chat, "tools": None, "documents": None,
                         **given}
            answer, = ours([FAMILIES[family]], variables, now=time.time())
            expected = transformers_text(FAMILIES[family], chat, **given)
            assert answer.get("text") == expected, (chat, answer)


def bytes_of(text, spans):
    encoded = text.encode()
    return [encoded[begin:end].decode() for begin, end in spans]


def test_text_knows_where_it_came_from(ours):
    chat = messages([("user", "<|im_end|>hi"), ("assistant", "  yes ")])
    variables = {"messages": chat, "bos_token": "<bos>"}
    llama, chatml = ours([LLAMA3, CHATML_WITH_GENERATION], variables)
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
