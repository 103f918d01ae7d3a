"""Logits, LoRA gradients and training losses against transformers and PEFT."""

import gzip
import json
import os
import pathlib
import subprocess

import pytest
import torch
from safetensors.torch import load_file

from conftest import ROOT

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj",
           "gate_proj", "up_proj", "down_proj"]


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
def parity(model_path, tmp_path_factory):
    """parity(**request): what parity.cc computed, tensors by name."""
    folder = os.environ.get("TANDEM_BIN_DIR", ROOT / "build/release/bin")
    binary = pathlib.Path(folder) / "parity"
    place = tmp_path_factory.mktemp("parity")

    def run(**request):
        request = {"model": str(model_path), **request}
        (place / "request.json").write_text(json.dumps(request))
        done = subprocess.run(
            [binary, place / "request.json", place / "out.safetensors"],
            capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return {k: v.clone()
                for k, v in load_file(place / "out.safetensors").items()}

    return run


@pytest.fixture(scope="session")
def our_fp32(parity):
    return parity(texts=prompts(), logits=True)


@torch.no_grad()
def test_fp32_logits(our_fp32, reference_model):
    lengths = []
    for i in range(5):
        tokens = our_fp32[f"tokens.{i}"]
        expected = reference_model(tokens[None]).logits[0]
        difference = (our_fp32[f"logits.{i}"] - expected).abs().max().item()
        print(f"prompt {i}: {len(tokens)} tokens, {difference:.2e} apart")
        assert difference <= 1e-3
        lengths.append(len(tokens))
    assert max(lengths) == 512


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


@torch.no_grad()
def test_bf16_argmax(parity, our_fp32, reference_folder):
    from transformers import AutoModelForCausalLM
    theirs = AutoModelForCausalLM.from_pretrained(
        reference_folder, dtype=torch.bfloat16).eval()
    rounded = parity(texts=prompts(), logits=True, dtype="bf16")
    ours = [rounded[f"logits.{i}"] for i in range(5)]
    exact = [our_fp32[f"logits.{i}"] for i in range(5)]
    peers = [theirs(our_fp32[f"tokens.{i}"][None]).logits[0].float()
             for i in range(5)]
    print(f"ours bf16 / ours fp32: {agreement(ours, exact):.4f}, "
          f"ours bf16 / transformers bf16: {agreement(ours, peers):.4f}, "
          f"transformers bf16 / fp32: {agreement(peers, exact):.4f}")
    assert agreement(ours, exact) >= 0.99


@pytest.fixture
def peft_model(reference_folder):
    """Rank 16 on all seven layers, B random too: a zero B hides errors in A."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    torch.manual_seed(7)
    base = AutoModelForCausalLM.from_pretrained(
        reference_folder, dtype=torch.float32)
    base.config.use_cache = False
    model = get_peft_model(base, LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.0, target_modules=MODULES,
        task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    return model


DOCUMENTS = [
    [504, 5089, 282, 4649, 314, 7042, 30, 657, 314, 260, 1955, 282, 216, 34],
    list(range(1000, 1023)),
    [28, 42, 42, 9999, 49151, 0, 17, 300, 301],
]
FIRST_TARGETS = [5, 1, 4]


def peft_loss(model):
    """The mean over all targets of three documents, one at a time."""
    total, count = 0, 0
    for ids, first in zip(DOCUMENTS, FIRST_TARGETS):
        logits = model(torch.tensor([ids])).logits[0, first - 1:-1]
        total = total + torch.nn.functional.cross_entropy(
            logits, torch.tensor(ids[first:]), reduction="sum")
        count += len(ids) - first
    return total / count


def test_lora_gradients(parity, peft_model, tmp_path):
    peft_model.save_pretrained(tmp_path / "adapter")
    ours = parity(adapter=str(tmp_path / "adapter"), documents=DOCUMENTS,
                  first_targets=FIRST_TARGETS, gradients=True)
    loss = peft_loss(peft_model)
    loss.backward()
    assert abs(ours["loss"].item() - loss.item()) <= 1e-4
    worst = compared = 0
    for name, parameter in peft_model.named_parameters():
        if not parameter.requires_grad:
            continue
        got = ours["grad." + name.replace(".default", "")]
        expected = parameter.grad
        relative = ((got - expected).norm() / expected.norm()).item()
        assert relative <= 1e-4, name
        worst, compared = max(worst, relative), compared + 1
    print(f"{compared} gradients, relative error up to {worst:.2e}")
    assert compared == 30 * 7 * 2


def test_twenty_adamw_steps(parity, peft_model, tmp_path):
    peft_model.save_pretrained(tmp_path / "adapter")
    ours = parity(adapter=str(tmp_path / "adapter"), documents=DOCUMENTS,
                  first_targets=FIRST_TARGETS, steps=20, learning_rate=1e-3,
                  weight_decay=0.01)["losses"]
    trained = [p for p in peft_model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01)
    for step in range(20):
        loss = peft_loss(peft_model)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        assert abs(ours[step].item() - loss.item()) <= 1e-3, step
    assert ours[-1] < 0.5 * ours[0]
