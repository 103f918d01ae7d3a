"""The peers' models: transformers with PEFT, from a Hugging Face folder."""

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
TARGETS = {"all": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj",
                   "up_proj", "down_proj"],
           "qv": ["q_proj", "v_proj"]}


def load(flags, dtype):
    torch.set_num_threads(flags.threads)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(
        flags.model, dtype=DTYPES[dtype], attn_implementation="sdpa")
    model.config.use_cache = False
    return model


def frozen(flags, dtype):
    return load(flags, dtype).eval().requires_grad_(False)


def with_lora(model, targets):
    """The model with fp32 factors of rank 8, and their AdamW."""
    model = get_peft_model(model, LoraConfig(
        r=8, lora_alpha=16, target_modules=TARGETS[targets],
        task_type="CAUSAL_LM"))
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.dtype == torch.float32 for p in trained)
    return model.train(), torch.optim.AdamW(trained, lr=1e-4, weight_decay=0)
