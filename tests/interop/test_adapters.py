"""LoRA's variants against PEFT, on tiny random models: logits, gradients,
training, folders in both directions, merged weights."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import LlamaConfig, LlamaForCausalLM

from lora_parity import MODULES, assert_same_gradients, mean_loss
from oracles import write_tokenizer

VOCABULARY = 300
DOCUMENTS = [[(7 * i * i + 3 * i + seed) % VOCABULARY for i in range(length)]
             for seed, length in ((0, 14), (1, 23), (2, 9))]
FIRST_TARGETS = [5, 1, 4]

# Overlapping patterns: the first that matches counts. In the order of the
# alphabet, since PEFT sorts them when it saves (and then means another thing).
PATTERNS = dict(
    rank_pattern={r"^model\.layers\.0\.self_attn\.q_proj": 3,
                  r"layers\.1\.mlp\..*_proj": 6, "q_proj": 2},
    alpha_pattern={r"0\.self_attn\.[kq]_proj": 5, "down_proj": 3,
                   "v_proj|.*_proj": 12})
VARIANTS = {
    "plain": dict(target_modules=MODULES),
    "rslora": dict(target_modules=["q_proj", "down_proj", "v_proj"],
                   use_rslora=True),
    "patterns": dict(target_modules=MODULES, **PATTERNS),
    "rslora-patterns": dict(target_modules=MODULES, use_rslora=True,
                            **PATTERNS),
    "dora": dict(target_modules=MODULES, use_dora=True),
    "dora-patterns": dict(target_modules=["self_attn.q_proj", "up_proj", "o_proj"],
                          use_dora=True, use_rslora=True, **PATTERNS),
    "all-linear": dict(target_modules="all-linear", lora_dropout=0.1),
    "expression": dict(target_modules=r".*\.[12]\.(self_attn\.[qv]|mlp\.up)_proj"),
}


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(3)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=48, intermediate_size=80,
        num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=512, bos_token_id=0, eos_token_id=1,
        tie_word_embeddings=True))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def load_base(folder):
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.config.use_cache = False
    return model


class Adapted:
    """PEFT's model of a variant, its folder, and what parity.cc says of it."""

    def __init__(self, variant, base_folder, place, parity):
        torch.manual_seed(5)
        self.base_folder = base_folder
        config = LoraConfig(**{"r": 4, "lora_alpha": 8,
                               "task_type": "CAUSAL_LM", **VARIANTS[variant]})
        self.model = get_peft_model(load_base(base_folder), config).eval()
        with torch.no_grad():  # a zero B hides errors in A
            for name, parameter in self.model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
                if "magnitude" in name:
                    parameter.mul_(1 + 0.2 * torch.randn_like(parameter))
        self.model.save_pretrained(place / "theirs")
        self.resaved = place / "ours"
        self.ask = lambda **more: parity(
            model=str(base_folder), adapter=str(place / "theirs"),
            documents=DOCUMENTS, first_targets=FIRST_TARGETS, **more)
        self.ours = self.ask(logits=True, gradients=True, merged=True,
                             save_adapter=str(self.resaved))


@pytest.fixture(scope="module", params=VARIANTS)
def adapted(request, base_folder, tmp_path_factory, parity):
    return Adapted(request.param, base_folder,
                   tmp_path_factory.mktemp(request.param), parity)


def relative_error(got, expected):
    return ((got - expected).norm() / expected.norm()).item()


def worst_logit_error(ours, model):
    with torch.no_grad():
        return max(relative_error(ours[f"logits.{i}"],
                                  model(torch.tensor([ids])).logits[0])
                   for i, ids in enumerate(DOCUMENTS))


def test_logits_and_gradients(adapted):
    error = worst_logit_error(adapted.ours, adapted.model)
    assert error <= 1e-4
    plain = load_base(adapted.base_folder)
    assert worst_logit_error(adapted.ours, plain) > 100 * error  # it is felt
    print(f"logits {error:.1e} apart")
    assert_same_gradients(
        adapted.ours, adapted.model, DOCUMENTS, FIRST_TARGETS,
        count=sum(key.startswith("grad.") for key in adapted.ours))
    adapted.model.zero_grad()


@torch.no_grad()
def test_peft_loads_what_we_save(adapted):
    theirs = PeftModel.from_pretrained(load_base(adapted.base_folder),
                                       adapted.resaved).eval()
    assert worst_logit_error(adapted.ours, theirs) <= 1e-4
    for field in ("r", "lora_alpha", "lora_dropout", "use_dora", "use_rslora",
                  "rank_pattern", "alpha_pattern"):
        assert getattr(theirs.peft_config["default"], field) == \
            getattr(adapted.model.peft_config["default"], field), field


@torch.no_grad()
def test_merged_weights(adapted):
    merged = PeftModel.from_pretrained(
        load_base(adapted.base_folder), adapted.resaved).merge_and_unload()
    base = load_base(adapted.base_folder).state_dict()
    expected = {name: tensor for name, tensor in merged.state_dict().items()
                if not torch.equal(tensor, base[name])}
    assert set(expected) == {name.removeprefix("merged.")
                             for name in adapted.ours
                             if name.startswith("merged.")}
    worst = max(relative_error(adapted.ours["merged." + name], tensor)
                for name, tensor in expected.items())
    print(f"{len(expected)} weights, {worst:.1e} apart")
    assert worst <= 1e-5


@pytest.mark.parametrize("variant", ["plain", "patterns", "dora"])
def test_twenty_steps_of_lora_plus(variant, base_folder, tmp_path, parity):
    adapted = Adapted(variant, base_folder, tmp_path, parity)
    rate = 5e-4
    ours = adapted.ask(steps=20, learning_rate=rate, lora_plus_ratio=16)["losses"]
    optimizer = create_loraplus_optimizer(
        adapted.model, torch.optim.AdamW, lr=rate, loraplus_lr_ratio=16)
    trained = [p for p in adapted.model.parameters() if p.requires_grad]
    losses = []
    for _ in range(20):
        loss = mean_loss(adapted.model, DOCUMENTS, FIRST_TARGETS)
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    apart = (ours - torch.tensor(losses, dtype=torch.float64)).abs().max().item()
    print(f"{losses[0]:.3f} to {losses[-1]:.3f}, {apart:.1e} apart")
    assert apart <= 1e-3
    assert losses[-1] < 0.8 * losses[0]
