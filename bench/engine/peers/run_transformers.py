"""Greedy decoding, or a prompt's last logits, by transformers with its cache."""

import time

import torch

import models
import session

NEW_TOKENS = 128


@torch.no_grad()
def prompt(model, ids):
    return model(ids, use_cache=True, logits_to_keep=1)


@torch.no_grad()
def decode(model, ids):
    """Tokens after the first, and the seconds that they took."""
    state = prompt(model, ids)
    start = time.perf_counter()
    for _ in range(NEW_TOKENS - 1):
        token = state.logits[:, -1].argmax(-1, keepdim=True)
        state = model(token, past_key_values=state.past_key_values,
                      use_cache=True)
    state.logits[:, -1].argmax(-1).item()
    return NEW_TOKENS - 1, time.perf_counter() - start


def main():
    flags = session.arguments(__doc__, ("dtype", "bf16"), ("work", "decode"))
    ids = torch.tensor([session.documents(flags)[0][0]])
    model = models.frozen(flags, flags.dtype)

    def work():
        if flags.work == "decode":
            return decode(model, ids)
        return ids.numel(), session.timed(lambda: prompt(model, ids))

    session.repeat(flags, "tokens", work, dtype=flags.dtype)


main()
