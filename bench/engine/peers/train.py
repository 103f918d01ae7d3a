"""A LoRA training step by transformers and PEFT, eager or compiled."""

import torch

import models
import session

IGNORED = -100  # transformers' label for "no target"


def padded(documents):
    """input_ids, attention_mask and labels, padded to the longest document."""
    width = max(len(ids) for ids, _ in documents)
    ids = torch.zeros(len(documents), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, (tokens, first) in enumerate(documents):
        n = len(tokens)
        ids[row, :n] = torch.tensor(tokens)
        mask[row, :n] = 1
        labels[row, first:n] = ids[row, first:n]
    batch = {"input_ids": ids, "labels": labels}
    # Without padding no mask is needed, and attention is faster without one.
    return batch if mask.all() else {**batch, "attention_mask": mask}


def main():
    flags = session.arguments(__doc__, ("dtype", "bf16"), ("targets", "all"),
                              ("compile", 0))
    documents = session.documents(flags)
    batch = padded(documents)
    tokens = sum(len(ids) for ids, _ in documents)
    model, optimizer = models.with_lora(models.load(flags, flags.dtype),
                                        flags.targets)
    forward = torch.compile(model) if flags.compile else model

    def step():
        loss = forward(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    session.repeat(flags, "tokens", lambda: (tokens, session.timed(step)),
                   dtype=flags.dtype, targets=flags.targets,
                   compiled=bool(flags.compile))


main()
