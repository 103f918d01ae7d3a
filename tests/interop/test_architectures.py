"""Every architecture against transformers, PEFT and llama.cpp: tiny random
models of several shapes, and Gemma-3-270M."""

import json

import gguf
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from conftest import CACHE, GEMMA
from lora_parity import assert_same_gradients, with_random_lora
from oracles import write_tokenizer

VOCABULARY = 300

# What a shape does not name is this.
COMMON = dict(vocab_size=VOCABULARY, hidden_size=48, intermediate_size=80,
              num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=512, rms_norm_eps=1e-5,
              bos_token_id=0, eos_token_id=1, pad_token_id=1)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)
SHAPES = {
    "llama-odd-heads-tied": ("Llama", dict(
        num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True)),
    "llama-mha-biased": ("Llama", dict(
        num_key_value_heads=4, attention_bias=True, head_dim=20)),
    "llama-llama3-rope": ("Llama", dict(
        head_dim=32, rope_scaling=LLAMA3, tie_word_embeddings=True)),
    "llama-linear-rope": ("Llama", dict(
        rope_scaling=dict(rope_type="linear", factor=2.5))),
    "qwen2-gqa-tied": ("Qwen2", dict(tie_word_embeddings=True,
                                     rope_theta=1e6)),
    "qwen2-odd-heads": ("Qwen2", dict(
        hidden_size=42, num_attention_heads=7, num_key_value_heads=7)),
    "qwen3-gqa": ("Qwen3", dict(head_dim=24)),
    "qwen3-odd-heads-tied": ("Qwen3", dict(
        num_attention_heads=5, num_key_value_heads=1, head_dim=10,
        rope_theta=1e6, tie_word_embeddings=True)),
    "gemma3-default-pattern": ("Gemma3", dict(
        num_hidden_layers=7, head_dim=16, sliding_window=9,
        query_pre_attn_scalar=16)),
    "gemma3-mqa-odd-heads": ("Gemma3", dict(
        num_hidden_layers=4, num_attention_heads=3, num_key_value_heads=1,
        head_dim=20, sliding_window=70, query_pre_attn_scalar=20,
        layer_types=["sliding_attention", "full_attention"] * 2,
        rope_local_base_freq=5e3, rope_theta=2e5)),
    "gemma3-linear-rope": ("Gemma3", dict(
        num_hidden_layers=6, head_dim=16, sliding_window=9,
        query_pre_attn_scalar=16,
        rope_scaling=dict(rope_type="linear", factor=8.0))),
    "gemma3-untied-linear-rope": ("Gemma3", dict(
        num_hidden_layers=3, head_dim=8, sliding_window=5,
        query_pre_attn_scalar=13, tie_word_embeddings=False,
        layer_types=["full_attention"] + ["sliding_attention"] * 2,
        rope_scaling=dict(rope_type="linear", factor=8.0))),
}
# Windows of 5, 9 and 70 bite in these, the last of several blocks of queries.
DOCUMENTS = [[(7 * i * i + 3 * i + seed) % VOCABULARY for i in range(length)]
             for seed, length in ((0, 14), (1, 23), (2, 1), (3, 150))]
FIRST_TARGETS = [5, 1, 1, 90]
GEMMA_VOCABULARY = 262_144


def random_model(family, shape):
    """Weights large enough that every part of the model is felt."""
    import transformers
    name = family + ("TextConfig" if family == "Gemma3" else "Config")
    config = getattr(transformers, name)(**{**COMMON, **shape})
    torch.manual_seed(len(shape))
    model = getattr(transformers, family + "ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
            else:
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model


@pytest.fixture(scope="module", params=SHAPES)
def tiny(request, tmp_path_factory):
    """(model, its folder as transformers saves it)."""
    folder = tmp_path_factory.mktemp(request.param)
    model = random_model(*SHAPES[request.param])
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return model, folder


@torch.no_grad()
def logits_of(model, documents=DOCUMENTS):
    return [model(torch.tensor([ids])).logits[0] for ids in documents]


def assert_near(ours, expected, tolerance=1e-4):
    """Largest difference, relative to the largest value."""
    assert ours.shape == expected.shape
    error = ((ours - expected).abs().max() / expected.abs().max()).item()
    print(f"relative error {error:.2e}")
    assert error <= tolerance


def test_logits(tiny, parity):
    model, folder = tiny
    ours = parity(model=str(folder), documents=DOCUMENTS, logits=True,
                  cached=True)
    for i, expected in enumerate(logits_of(model)):
        assert_near(ours[f"logits.{i}"], expected)
        assert_near(ours[f"cached.{i}"], expected)


def test_lora_gradients(tiny, parity, tmp_path):
    import copy
    model, folder = tiny
    peft = with_random_lora(copy.deepcopy(model), rank=3, alpha=6, std=0.1)
    peft.save_pretrained(tmp_path)
    documents = [d for d in DOCUMENTS if len(d) > 1]
    targets = [f for d, f in zip(DOCUMENTS, FIRST_TARGETS) if len(d) > 1]
    ours = parity(model=str(folder), adapter=str(tmp_path), logits=True,
                  documents=documents, first_targets=targets, gradients=True)
    for i, expected in enumerate(logits_of(peft, documents)):
        assert_near(ours[f"logits.{i}"], expected)
    assert_same_gradients(ours, peft, documents, targets,
                          count=14 * model.config.num_hidden_layers)


def test_folder_written_here_is_the_same_in_transformers(tiny, dump, tmp_path):
    from transformers import AutoModelForCausalLM
    model, folder = tiny
    dump(folder, tmp_path, "hf", "f32")
    again, info = AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    assert type(again) is type(model)
    for ours, expected in zip(logits_of(again.eval()), logits_of(model)):
        assert_near(ours, expected, 1e-5)
    written = again.config.to_dict()
    for key in ("rope_theta", "rope_scaling", "rope_local_base_freq",
                "sliding_window", "layer_types", "query_pre_attn_scalar",
                "attention_bias", "tie_word_embeddings", "vocab_size",
                "max_position_embeddings", "rms_norm_eps"):
        if hasattr(model.config, key):
            assert written[key] == getattr(model.config, key), key


def can_be_gguf(model):
    """A GGUF of gemma3 knows neither query_pre_attn_scalar nor such windows."""
    config = model.config
    return config.model_type != "gemma3_text" or (
        config.query_pre_attn_scalar == config.head_dim)


def digest(dump, model, out):
    dump(model, out)
    with safe_open(out, "pt") as file:
        return file.metadata()["digest"]


def test_gguf_is_the_same_model(tiny, dump, parity, tmp_path):
    model, folder = tiny
    path = tmp_path / "tiny.gguf"
    if not can_be_gguf(model):
        message = dump(folder, path, "gguf", "f32", code=1)
        assert "query_pre_attn_scalar is 13" in message
        return
    dump(folder, path, "gguf", "f32")
    ours = parity(model=str(path), documents=DOCUMENTS, logits=True)
    for i, expected in enumerate(logits_of(model)):
        assert_near(ours[f"logits.{i}"], expected)
    if model.config.model_type != "gemma3_text":  # whose norms round
        assert digest(dump, folder, tmp_path / "a") == \
            digest(dump, path, tmp_path / "b")


def test_gguf_holds_what_transformers_reads(tiny, dump, tmp_path):
    from transformers import AutoModelForCausalLM
    model, folder = tiny
    if not can_be_gguf(model):
        return
    dump(folder, tmp_path / "tiny.gguf", "gguf", "f32")
    # Its reader misses qwen3's attention.key_length: the config is given.
    again = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="tiny.gguf", config=model.config,
        dtype=torch.float32).state_dict()
    for name, tensor in model.state_dict().items():
        # The reader leaves biases of q and k as llama.cpp has them.
        if model.config.model_type == "llama" and name.endswith(".bias"):
            continue
        assert torch.allclose(again[name], tensor, rtol=0, atol=3e-7), name


def test_llama_cpp_computes_the_same(tiny, dump, llama, tmp_path):
    """Every token of its greedy replies is (nearly: its keys and values are
    f16) the likeliest here."""
    model, folder = tiny
    if not can_be_gguf(model):
        return
    dump(folder, tmp_path / "tiny.gguf", "gguf", "f32")
    prompts = [DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[3]]
    replies = llama(tmp_path / "tiny.gguf", prompts=prompts,
                    new_tokens=24)["replies"]
    compared = 0
    for prompt, reply in zip(prompts, replies):
        ids = prompt + reply["ids"]
        logits = logits_of(model, [ids])[0][len(prompt) - 1:-1]
        chosen = logits.gather(1, torch.tensor(reply["ids"])[:, None])[:, 0]
        gap = logits.max(-1).values - chosen
        assert gap.max().item() <= 0.01 * logits.std().item()
        compared += len(reply["ids"])
    assert compared >= 24


@pytest.mark.parametrize("change,name", [
    (dict(attn_logit_softcapping=50.0), "attn_logit_softcapping"),
    (dict(final_logit_softcapping=30.0), "final_logit_softcapping"),
    (dict(rope_scaling=dict(rope_type="yarn", factor=4.0)), "'yarn'"),
    (dict(model_type="gemma2"), "'gemma2'"),
])
def test_other_features_are_refused_by_name(change, name, dump, tmp_path):
    random_model(*SHAPES["gemma3-default-pattern"]).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    assert name in dump(tmp_path, tmp_path / "out", code=1)


def test_other_gguf_features_are_refused_by_name(dump, tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "gemma3")
    writer.add_final_logit_softcapping(30.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "gemma3.final_logit_softcapping" in dump(
        tmp_path / "a.gguf", tmp_path / "out", code=1)


@pytest.fixture(scope="module")
def gemma_path():
    """The same file with a byte-level tokenizer: ids are what is tested, and
    tokenizers have tests of their own."""
    path = CACHE / "gemma-3-270m-byte-level.gguf"
    if path.is_file():
        return path
    assert GEMMA.is_file(), f"{GEMMA} is missing: run scripts/test.sh"
    CACHE.mkdir(parents=True, exist_ok=True)
    write_tokenizer(CACHE)
    vocabulary = json.loads((CACHE / "tokenizer.json").read_text())["model"]["vocab"]
    reader = gguf.GGUFReader(GEMMA)
    writer = gguf.GGUFWriter(CACHE / "gemma.part", "gemma3")
    for key, field in reader.fields.items():
        if not key.startswith(("GGUF.", "tokenizer.", "general.architecture")):
            writer.add_key_value(
                key, field.contents(), field.types[0],
                field.types[1] if len(field.types) > 1 else None)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(list(vocabulary))
    writer.add_token_types([3, 3] + [1] * (len(vocabulary) - 2))
    writer.add_token_merges(["t h"])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (CACHE / "gemma.part").rename(path)
    return path


@pytest.fixture(scope="module")
def gemma(gemma_path):
    """Gemma-3-270M as transformers dequantises it."""
    from transformers import AutoConfig, AutoModelForCausalLM
    source = dict(pretrained_model_name_or_path=gemma_path.parent,
                  gguf_file=gemma_path.name)
    config = AutoConfig.from_pretrained(**source)
    config.vocab_size = GEMMA_VOCABULARY  # it counts the tokenizer's
    return AutoModelForCausalLM.from_pretrained(
        **source, config=config, dtype=torch.float32).eval()


def test_gemma_3_270m(gemma, gemma_path, parity):
    """With a document longer than its window of 512 tokens."""
    documents = [[2, 651, 5279, 576, 6081, 603],
                 [2] + [(31 * i * i + 17 * i) % 200_000 for i in range(600)]]
    ours = parity(model=str(gemma_path), documents=documents, logits=True,
                  cached=True, last_rows=16)
    for i, expected in enumerate(logits_of(gemma, documents)):
        assert_near(ours[f"logits.{i}"], expected[-16:])
        assert_near(ours[f"cached.{i}"], expected[-16:])


def test_lora_gradients_of_gemma_3_270m(gemma, gemma_path, parity, tmp_path):
    import copy
    peft = with_random_lora(copy.deepcopy(gemma), rank=4, alpha=8, std=0.02)
    peft.save_pretrained(tmp_path)
    documents = [[2, 651, 5279, 576, 6081, 603, 7127, 235265],
                 [2] + [(31 * i * i + 17 * i) % 200_000 for i in range(40)]]
    ours = parity(model=str(gemma_path), adapter=str(tmp_path),
                  documents=documents, first_targets=[3, 1], gradients=True)
    assert_same_gradients(ours, peft, documents, [3, 1], count=18 * 7 * 2)
