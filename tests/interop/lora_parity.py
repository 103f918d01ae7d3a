"""Gradients of LoRA factors as PEFT has them, beside those of parity.cc."""

import torch

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj",
           "gate_proj", "up_proj", "down_proj"]


def with_random_lora(base, rank, alpha, std):
    """PEFT around `base`; B random too, since a zero B hides errors in A."""
    from peft import LoraConfig, get_peft_model
    base.config.use_cache = False
    model = get_peft_model(base, LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=MODULES,
        task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=std)
    return model


def mean_loss(model, documents, first_targets):
    """The mean over all targets, one document at a time."""
    total, count = 0, 0
    for ids, first in zip(documents, first_targets):
        logits = model(torch.tensor([ids])).logits[0, first - 1:-1]
        total = total + torch.nn.functional.cross_entropy(
            logits, torch.tensor(ids[first:]), reduction="sum")
        count += len(ids) - first
    return total / count


def assert_same_gradients(ours, model, documents, first_targets, count):
    """`ours`: what parity.cc wrote with "gradients" for these documents."""
    loss = mean_loss(model, documents, first_targets)
    loss.backward()
    assert abs(ours["loss"].item() - loss.item()) <= 1e-4
    worst = compared = 0
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        # DoRA's magnitudes are modules to PEFT, and lose that in a file.
        stored = name.replace("vector.default.weight", "vector")
        got = ours["grad." + stored.replace(".default", "")]
        expected = parameter.grad
        assert got.shape == expected.shape, name
        relative = ((got - expected).norm() / expected.norm()).item()
        assert relative <= 1e-4, name
        worst, compared = max(worst, relative), compared + 1
    print(f"{compared} gradients, relative error up to {worst:.2e}")
    assert compared == count
