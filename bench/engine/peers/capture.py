"""A teacher's 64 most likely tokens at each position, by transformers."""

import torch

import models
import session


def main():
    flags = session.arguments(__doc__, ("dtype", "bf16"), ("k", 64))
    ids = torch.tensor([session.documents(flags)[0][0]])
    teacher = models.frozen(flags, flags.dtype)

    @torch.no_grad()
    def capture():
        values, indices = teacher(ids).logits[0].topk(flags.k, dim=-1)
        return values.half(), indices.int()

    session.repeat(flags, "tokens",
                   lambda: (ids.numel(), session.timed(capture)),
                   dtype=flags.dtype, k=flags.k)


main()
