"""`tandem eval --task` against transformers, item by item.

A part of the tasks; bench/engine/agreement.py does all of them.
"""

import json
import math
import statistics

import pytest

import choice_reference
import oracles
from conftest import MODEL, ROOT

EVAL = ROOT / "data" / "eval"
ITEMS = 40
CHOICES = ("choice", "choice_per_character", "choice_per_byte")


@pytest.fixture(scope="session")
def tokenizer():
    return oracles.byte_level_tokenizer(oracles.GgufMetadata(MODEL))


@pytest.fixture(scope="module", params=["arc_easy", "csqa"])
def both(request, tandem, model_path, tokenizer, reference_model, tmp_path_factory):
    """(what the command printed, its items, the reference's items)."""
    file = EVAL / request.param / "rc_0shot" / "requests.jsonl.gz"
    assert file.is_file(), f"{file} is missing: run scripts/test.sh"
    per_item = tmp_path_factory.mktemp("eval") / "items.jsonl"
    printed = json.loads(tandem(
        "eval", "--model", model_path, "--dtype", "fp32", "--task", file,
        "--max-items", ITEMS, "--per-item", per_item))
    assert printed["task"] == request.param
    ours = [json.loads(line) for line in per_item.read_text().splitlines()]
    items = choice_reference.read_items(file, ITEMS)
    sums = choice_reference.log_likelihoods(reference_model, tokenizer, items)
    theirs = [choice_reference.judge(gold, choices, s)
              for (gold, choices), s in zip(items, sums)]
    return printed, ours, theirs


def test_log_likelihoods(both):
    _, ours, theirs = both
    assert len(ours) == len(theirs) == ITEMS
    for mine, other in zip(ours, theirs):
        assert mine["gold"] == other["gold"]
        assert mine["log_likelihoods"] == pytest.approx(
            other["log_likelihoods"], abs=2e-3)
        assert mine["bits_per_byte"] == pytest.approx(
            other["bits_per_byte"], abs=1e-3)


@pytest.mark.parametrize("choice", CHOICES)
def test_choices(both, choice):
    _, ours, theirs = both
    same = [a[choice] == b[choice] for a, b in zip(ours, theirs)]
    assert statistics.mean(same) >= 0.995


def test_metrics(both):
    """The printed means and standard errors are those of the items."""
    printed, _, theirs = both
    for name, choice in zip(("accuracy", "accuracy_per_character",
                             "accuracy_per_byte"), CHOICES):
        right = [float(item[choice] == item["gold"]) for item in theirs]
        assert printed[name]["value"] == pytest.approx(statistics.mean(right))
        assert printed[name]["standard_error"] == pytest.approx(
            statistics.stdev(right) / math.sqrt(ITEMS))
    bits = [item["bits_per_byte"] for item in theirs]
    assert printed["bits_per_byte"]["value"] == pytest.approx(
        statistics.mean(bits), abs=1e-3)
    assert printed["bits_per_byte"]["standard_error"] == pytest.approx(
        statistics.stdev(bits) / math.sqrt(ITEMS), rel=1e-2)


@pytest.mark.parametrize("task, reason", [
    ("gsm8k/gold_bpb_5shot", "request_type is 'generate_until_and_loglikelihood'"),
    ("lambada/bpb_0shot", "expected the index of the right choice"),
])
def test_other_tasks_are_refused(tandem, model_path, task, reason):
    error = tandem("eval", "--model", model_path, "--task",
                   EVAL / task / "requests.jsonl.gz", code=1)
    assert "not a multiple-choice task" in error and reason in error
