"""Generation against transformers and llama.cpp: what tokens are drawn from,
single steps, and greedy text from quantised blocks."""

import json
import pathlib
import subprocess

import pytest
import torch

from conftest import binary
from test_parity import prompts

SURE = 0.5  # between the two largest logits
# There both factors of products with blocks are rounded to bf16, as they are
# with bf16 weights.
MULTIPLIES_BF16 = "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Threads that meet 180 times a token must not share a core."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def distributions(requests):
    done = subprocess.run([binary("token_distribution")], input=json.dumps(requests), text=True,
                          capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def warped(request):
    """The same by transformers, in the order of its generate()."""
    from transformers import (LogitsProcessorList, MinPLogitsWarper,
                              RepetitionPenaltyLogitsProcessor,
                              TemperatureLogitsWarper, TopKLogitsWarper,
                              TopPLogitsWarper)
    steps = LogitsProcessorList()
    if request["repetition_penalty"] != 1:
        steps.append(
            RepetitionPenaltyLogitsProcessor(request["repetition_penalty"]))
    if request["temperature"] != 1:
        steps.append(TemperatureLogitsWarper(request["temperature"]))
    if request["top_k"]:
        steps.append(TopKLogitsWarper(request["top_k"]))
    if request["top_p"] < 1:
        steps.append(TopPLogitsWarper(request["top_p"]))
    if request["min_p"] > 0:
        steps.append(MinPLogitsWarper(request["min_p"]))
    logits = torch.tensor([request["logits"]], dtype=torch.float64)
    seen = torch.tensor([request["seen"]], dtype=torch.long)
    return torch.softmax(steps(seen, logits)[0], -1)


def test_distributions_are_those_of_transformers():
    generator = torch.Generator().manual_seed(1)
    requests = []
    for i in range(120):
        size = [7, 300, 5000][i % 3]
        logits = torch.randn(size, generator=generator) * [1, 3, 8][i // 3 % 3]
        requests.append({
            # As fp32, which is what both sides read.
            "logits": logits.float().tolist(),
            "seen": torch.randint(size, (9,), generator=generator).tolist(),
            "temperature": [1.0, 0.6, 1.7][i % 3],
            "top_k": [0, 5, 40][i // 2 % 3],
            "top_p": [1.0, 0.9, 0.35][i // 3 % 3],
            "min_p": [0.0, 0.05, 0.4][i // 5 % 3],
            "repetition_penalty": [1.0, 1.3, 0.8][i // 7 % 3],
        })
    kept = 0
    for request, ours in zip(requests, distributions(requests)):
        expected = warped(request)
        got = torch.zeros_like(expected)
        for token, probability in ours:
            got[token] = probability
        assert torch.equal(got > 0, expected > 0)
        assert (got - expected).abs().max().item() < 1e-6
        kept += len(ours)
    assert kept > 120 * 5


def test_fp32_steps_are_the_full_forward(parity):
    out = parity(texts=prompts()[:4], max_tokens=60, logits=True, stepped=True)
    for i in range(4):
        full, stepped = out[f"logits.{i}"], out[f"stepped.{i}"]
        difference = (full - stepped).abs().max().item()
        print(f"prompt {i}: {difference:.1e} apart")
        assert difference <= 1e-3
        assert torch.equal(full.argmax(-1), stepped.argmax(-1))


def test_blocks_are_the_dequantised_weights(parity):
    request = {"texts": prompts()[:3], "max_tokens": 60, "logits": True}
    exact = parity(**request, dtype="fp32")
    kept = parity(**request, dtype="quantised", stepped=True)
    sure = total = 0
    for i in range(3):
        full = exact[f"logits.{i}"]
        difference = (full - kept[f"logits.{i}"]).abs().max().item()
        assert difference <= (1 if MULTIPLIES_BF16 else 1e-3)
        # Activations rounded to 8 bits: the same choice wherever it is clear.
        stepped = kept[f"stepped.{i}"]
        two = full.topk(2).values
        clear = two[:, 0] - two[:, 1] > SURE
        assert torch.equal(full.argmax(-1)[clear], stepped.argmax(-1)[clear])
        error = (full - stepped).pow(2).mean().sqrt().item()
        print(f"prompt {i}: steps are off by {error:.3f} (root mean square)")
        assert error < 0.1 * full.std().item()
        sure, total = sure + clear.sum().item(), total + len(full)
    print(f"{sure} of {total} positions are clear")
    assert sure > total / 3


def test_quantised_base_trains_with_the_same_losses(
        parity, tmp_path):
    from test_parity import DOCUMENTS, FIRST_TARGETS
    request = {"documents": DOCUMENTS, "first_targets": FIRST_TARGETS,
               "steps": 3, "adapter": str(adapter(tmp_path))}
    dtype, tolerance = ("bf16", 5e-3) if MULTIPLIES_BF16 else ("fp32", 1e-6)
    whole = parity(**request, dtype=dtype)["losses"]
    kept = parity(**request, dtype="quantised")["losses"]
    print(f"losses {whole.tolist()}, {kept.tolist()}")
    assert (whole - kept).abs().max().item() <= tolerance * whole.max().item()


def adapter(folder):
    """A small PEFT adapter, B not zero."""
    from safetensors.torch import save_file
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for layer in range(30):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_"
        tensors[name + "A.weight"] = torch.randn(4, 576, generator=generator)
        tensors[name + "B.weight"] = torch.randn(576, 4, generator=generator)
    save_file({k: v * 0.02 for k, v in tensors.items()},
              folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4,
         "lora_alpha": 8, "lora_dropout": 0.0, "bias": "none",
         "target_modules": ["q_proj"]}))
    return folder


PATTERNS = ["hello world " * 6 + "hello", "2 4 6 8 " * 4 + "2",
            "The cat sat on the mat. " * 5, "x = 1\n" * 6 + "x",
            "one two three four " * 4]


def test_greedy_text_is_that_of_llama_cpp(tandem, llama, model_path):
    arguments = [x for text in PATTERNS for x in ("--prompt", text)]
    ours = json.loads(tandem(
        "generate", "--model", model_path, "--dtype", "quantised", "--raw",
        "--json", "--max-tokens", 16, *arguments))["replies"]
    theirs = llama(model_path, new_tokens=16,
                   prompts=[reply["prompt_tokens"] for reply in ours])["replies"]
    same = [a["tokens"] == b["ids"] for a, b in zip(ours, theirs)]
    print(f"{sum(same)} of {len(same)} continuations are the same")
    # Both round activations, each in its own way: a near tie may fall either
    # way, but not every text has one.
    assert sum(same) >= 4
