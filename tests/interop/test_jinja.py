"""Our Jinja against jinja2, set up as transformers does."""

import resource
import time

from transformers.utils import chat_template_utils


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


def test_snippets_equal_jinja2(rendered):
    snippets = SNIPPETS + BLOCKS
    assert len(snippets) >= 150
    wrong = []
    for snippet, answer in zip(snippets, rendered(snippets, VARIABLES)):
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


def test_what_is_left_out_is_named(rendered):
    answers = rendered([source for source, _, _ in REFUSED], VARIABLES)
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


def test_hostile_templates_end_soon(rendered):
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    for source, answer in zip(HOSTILE, rendered(HOSTILE, VARIABLES)):
        assert "error" in answer, (source[:80], str(answer)[:80])
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert end.ru_utime - begin.ru_utime < 20  # seconds, all of them
    assert end.ru_maxrss < 2 << 20  # KiB


def test_numerals_of_the_date(rendered):
    """Python's strftime at the same moment, in the local time zone."""
    now, formats = 1_700_000_000, ["%d %b %Y", "%Y-%m-%d", "%B %d, %A", "%%"]
    sources = [f"{{{{ strftime_now('{text}') }}}}" for text in formats]
    answers = rendered(sources, {}, now=now)
    assert [answer["text"] for answer in answers] == [
        time.strftime(text, time.localtime(now)) for text in formats]
