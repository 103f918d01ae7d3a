"""Twenty thousand strings for tokenizers, the same in every run: dictionaries,
code, the world's scripts, random Unicode and random bytes.
"""

import gzip
import os
import pathlib
import random
import unicodedata

import torch
from tokenizers import normalizers

from conftest import ROOT

# A block of Unicode each.
SCRIPTS = {
    "latin": (0x0021, 0x024F), "greek": (0x0370, 0x03FF),
    "cyrillic": (0x0400, 0x052F), "armenian": (0x0530, 0x058F),
    "hebrew": (0x0590, 0x05FF), "arabic": (0x0600, 0x06FF),
    "syriac": (0x0700, 0x074F), "thaana": (0x0780, 0x07BF),
    "nko": (0x07C0, 0x07FF), "devanagari": (0x0900, 0x097F),
    "bengali": (0x0980, 0x09FF), "gurmukhi": (0x0A00, 0x0A7F),
    "gujarati": (0x0A80, 0x0AFF), "oriya": (0x0B00, 0x0B7F),
    "tamil": (0x0B80, 0x0BFF), "telugu": (0x0C00, 0x0C7F),
    "kannada": (0x0C80, 0x0CFF), "malayalam": (0x0D00, 0x0D7F),
    "sinhala": (0x0D80, 0x0DFF), "thai": (0x0E00, 0x0E7F),
    "lao": (0x0E80, 0x0EFF), "tibetan": (0x0F00, 0x0FFF),
    "myanmar": (0x1000, 0x109F), "georgian": (0x10A0, 0x10FF),
    "hangul jamo": (0x1100, 0x11FF), "ethiopic": (0x1200, 0x137F),
    "cherokee": (0x13A0, 0x13FF), "canadian": (0x1400, 0x167F),
    "ogham": (0x1680, 0x169F), "runic": (0x16A0, 0x16FF),
    "khmer": (0x1780, 0x17FF), "mongolian": (0x1800, 0x18AF),
    "latin additional": (0x1E00, 0x1EFF), "greek extended": (0x1F00, 0x1FFF),
    "hiragana": (0x3040, 0x309F), "katakana": (0x30A0, 0x30FF),
    "han": (0x4E00, 0x9FFF), "yi": (0xA000, 0xA48F),
    "hangul": (0xAC00, 0xD7A3), "halfwidth": (0xFF00, 0xFFEF),
    "gothic": (0x10330, 0x1034F), "cuneiform": (0x12000, 0x123FF),
    "mathematical": (0x1D400, 0x1D7FF), "emoji": (0x1F300, 0x1FAFF),
}
BREAKS = [" ", " ", " ", " ", "  ", "\n", "\t", "\u3000", ", ", ". ", "-", "'"]


def dictionary_strings(pick, count):
    """Raw stretches of the dictionaries' text, with indents and line ends."""
    texts = []
    for name in ("jargon", "foldoc", "wn"):
        data = gzip.open(ROOT / "data" / "dict" / f"{name}.dict.dz").read()
        texts.append(data.decode("utf-8", "replace"))
    strings = []
    for _ in range(count):
        text = pick.choice(texts)
        at = pick.randrange(len(text))
        strings.append(text[at:at + pick.randrange(1, 200)])
    return strings


def code_files():
    """Python's library and LibTorch's headers: not ours, which change."""
    headers = pathlib.Path(torch.__file__).parent / "include" / "ATen"
    return [*sorted(pathlib.Path(os.__file__).parent.glob("*.py")),
            *sorted(headers.rglob("*.h"))[:300]]


def code_strings(pick, count):
    """A few lines of C++ or Python, or a part of one."""
    lines = [line for path in code_files()
             for line in path.read_text(errors="replace").splitlines(True)]
    strings = []
    for _ in range(count):
        at = pick.randrange(len(lines))
        text = "".join(lines[at:at + pick.randrange(1, 6)])
        strings.append(text[pick.randrange(2) * pick.randrange(len(text)):])
    return strings


def assigned(first, last):
    return [chr(code) for code in range(first, last + 1)
            if unicodedata.category(chr(code)) not in ("Cn", "Cs")]


def script_strings(pick, count):
    """Words of one script, now and then with one of another."""
    alphabets = [assigned(*block) for block in SCRIPTS.values()]
    strings = []
    for i in range(count):
        text = ""
        for _ in range(pick.randrange(1, 7)):
            alphabet = alphabets[i % len(alphabets)]
            if pick.random() < 0.1:
                alphabet = pick.choice(alphabets)
            text += "".join(pick.choices(alphabet, k=pick.randrange(1, 9)))
            text += pick.choice(BREAKS)
        strings.append(text)
    return strings


def is_settled(character):
    """No character that one oracle's version of Unicode knows and another's
    does not: assigned, or where none will ever be."""
    return (unicodedata.category(character) not in ("Cn", "Cs") or
            0x40000 <= ord(character) < 0xE0000 or
            ord(character) & 0xFFFE == 0xFFFE)


def scalar_value(pick, end):
    character = chr(pick.randrange(end))
    return character if is_settled(character) else " "


def random_strings(pick, count):
    """Characters of all planes, often of the lower ones."""
    strings = []
    for _ in range(count):
        end = pick.choice([0x100, 0x800, 0x3000, 0x10000, 0x20000, 0x110000])
        strings.append("".join(scalar_value(pick, end)
                               for _ in range(pick.randrange(1, 25))))
    return strings


def random_bytes(pick, count):
    """Noise, and text with a few wrong bytes."""
    text = "".join(script_strings(pick, 200)).encode()
    samples = []
    for i in range(count):
        sample = bytearray(pick.randbytes(pick.randrange(1, 40)))
        if i % 2:
            at = pick.randrange(len(text) - 60)
            sample = bytearray(text[at:at + pick.randrange(1, 60)])
            for _ in range(pick.randrange(4)):
                sample[pick.randrange(len(sample))] = pick.randrange(0x100)
        samples.append(bytes(sample))
    return samples


def strings():
    """At least 20,000; those of random bytes as Python decodes them."""
    pick = random.Random(20)
    found = dictionary_strings(pick, 5500) + code_strings(pick, 5500)
    found += script_strings(pick, 100 * len(SCRIPTS))
    found += random_strings(pick, 3500)
    decoded = [sample.decode("utf-8", "replace")
               for sample in random_bytes(pick, 3500)]
    found += [text for text in decoded if all(map(is_settled, text))]
    assert len(found) > 20000 and len(SCRIPTS) >= 30
    return found


def has_the_same_form(normalizer, text):
    """By NFC, if it is that: Hugging Face's composition of characters is of Unicode 9."""
    return not isinstance(normalizer, normalizers.NFC) or (
        unicodedata.normalize("NFC", text) == normalizer.normalize_str(text))


def assert_same(texts, got, expected):
    assert len(got) == len(expected) == len(texts) >= 20000
    wrong = [(ascii(text[:200]), g[:40], e[:40])
             for text, g, e in zip(texts, got, expected) if g != e]
    assert not wrong, f"{len(wrong)} of {len(texts)} differ: {wrong[:5]}"
