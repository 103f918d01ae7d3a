"""A distillation step by transformers and PEFT: full-vocabulary forward KL."""

import torch
from torch.nn import functional

import models
import session

STUDENT_LAYERS = 15


def student_of(flags):
    model = models.load(flags, flags.dtype)
    model.model.layers = model.model.layers[:STUDENT_LAYERS]
    model.config.num_hidden_layers = STUDENT_LAYERS
    return models.with_lora(model, "all")


def main():
    flags = session.arguments(__doc__, ("dtype", "bf16"))
    ids = torch.tensor([session.documents(flags)[0][0]])
    teacher = models.frozen(flags, flags.dtype)
    student, optimizer = student_of(flags)

    def step():
        with torch.no_grad():
            expected = teacher(ids).logits.float().log_softmax(-1)
        predicted = student(input_ids=ids).logits.float().log_softmax(-1)
        loss = functional.kl_div(predicted, expected, log_target=True,
                                 reduction="sum") / ids.numel()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    session.repeat(flags, "tokens",
                   lambda: (ids.numel(), session.timed(step)),
                   dtype=flags.dtype)


main()
