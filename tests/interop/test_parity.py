"""Logits, LoRA gradients and training losses against transformers and PEFT."""

import gzip

import pytest
import torch

from conftest import ROOT
from lora_parity import assert_same_gradients, mean_loss, with_random_lora


def prompts():
    """Five texts of different kinds, the last of 512 tokens and more."""
    with gzip.open(ROOT / "data" / "dict" / "foldoc.dict.dz") as f:
        f.seek(200_000)
        long_text = f.read(4_000).decode("utf-8", "replace")
    return [
        "The capital of France is",
        "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n"
        "        a, b = b, a + b\n    return a\n" * 3,
        "Der schnelle braune Fuchs springt über den faulen Hund. 素早い茶色の狐。 "
        "مرحبا بالعالم 🎉 1234567890",
        "Water boils at a lower temperature on a mountain because the pressure "
        "of the air is lower there. " * 6,
        long_text,
    ]


@pytest.fixture(scope="session")
def our_fp32(parity):
    return parity(texts=prompts(), logits=True)


@pytest.fixture(scope="session")
def their_fp32(our_fp32, reference_model):
    """transformers' logits of the same tokens."""
    with torch.no_grad():
        return [reference_model(our_fp32[f"tokens.{i}"][None]).logits[0]
                for i in range(5)]


def test_fp32_logits(our_fp32, their_fp32):
    for i, expected in enumerate(their_fp32):
        difference = (our_fp32[f"logits.{i}"] - expected).abs().max().item()
        print(f"prompt {i}: {len(expected)} tokens, {difference:.2e} apart")
        assert difference <= 1e-3
    assert max(map(len, their_fp32)) == 512


def test_cached_logits_are_those_of_the_full_forward(parity, our_fp32):
    short = prompts()[:4]
    cached = parity(texts=short, cached=True)
    for i in range(len(short)):
        full = our_fp32[f"logits.{i}"]
        assert (cached[f"cached.{i}"] - full).abs().max().item() <= 1e-3
        assert torch.equal(cached[f"cached.{i}"].argmax(-1), full.argmax(-1))


def agreement(a, b):
    """Share of positions with the same argmax, over all prompts."""
    same = [x.argmax(-1) == y.argmax(-1) for x, y in zip(a, b)]
    return torch.cat(same).double().mean().item()


def test_bf16_argmax(parity, our_fp32, their_fp32):
    rounded = parity(texts=prompts(), logits=True, dtype="bf16")
    ours = [rounded[f"logits.{i}"] for i in range(5)]
    exact = [our_fp32[f"logits.{i}"] for i in range(5)]
    print(f"ours bf16 / ours fp32: {agreement(ours, exact):.4f}, "
          f"ours bf16 / transformers fp32: {agreement(ours, their_fp32):.4f}")
    assert agreement(ours, their_fp32) >= 0.99


@pytest.fixture
def peft_model(reference_folder):
    """Rank 16 on all seven layers."""
    from transformers import AutoModelForCausalLM
    torch.manual_seed(7)
    return with_random_lora(AutoModelForCausalLM.from_pretrained(
        reference_folder, dtype=torch.float32), rank=16, alpha=32, std=0.01)


DOCUMENTS = [
    [504, 5089, 282, 4649, 314, 7042, 30, 657, 314, 260, 1955, 282, 216, 34],
    list(range(1000, 1023)),
    [28, 42, 42, 9999, 49151, 0, 17, 300, 301],
]
FIRST_TARGETS = [5, 1, 4]


def test_lora_gradients(parity, peft_model, tmp_path):
    peft_model.save_pretrained(tmp_path / "adapter")
    ours = parity(adapter=str(tmp_path / "adapter"), documents=DOCUMENTS,
                  first_targets=FIRST_TARGETS, gradients=True)
    assert_same_gradients(ours, peft_model, DOCUMENTS, FIRST_TARGETS,
                          count=30 * 7 * 2)


def test_twenty_adamw_steps(parity, peft_model, tmp_path):
    peft_model.save_pretrained(tmp_path / "adapter")
    request = dict(adapter=str(tmp_path / "adapter"), documents=DOCUMENTS,
                   first_targets=FIRST_TARGETS, steps=20, learning_rate=1e-3,
                   weight_decay=0.01)
    ours = parity(**request)["losses"]
    rounded = parity(**request, dtype="bf16")["losses"]
    trained = [p for p in peft_model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01)
    for step in range(20):
        loss = mean_loss(peft_model, DOCUMENTS, FIRST_TARGETS)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        assert abs(ours[step].item() - loss.item()) <= 1e-3, step
        off = abs(rounded[step].item() - loss.item())
        print(f"step {step}: bf16 is off by {off:.1e} of {loss.item():.3f}")
        assert off <= 0.02, step
    assert ours[-1] < 0.5 * ours[0]
