"""GGUF files and Hugging Face folders against the gguf package, transformers
and llama.cpp."""

import ctypes
import json
import re

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from conftest import ROOT

TEXTS = [
    "", " ", "Hello, world!", "The year 1984 has 365 days.", "a\tb\r\nc\n\n  d",
    "naïve café — “quotes”", "日本語のテキスト", "العربية ١٢٣", "ภาษาไทย", "👩‍👩‍👧‍👦 🇩🇪",
    "def f(x):\n    return x**2  # comment", "it's we'll I'VE", " " * 100,
    "<|im_start|>user\nHi<|im_end|>\n<|endoftext|>",
]


@pytest.fixture(scope="session")
def dumped(dump, model_path, tmp_path_factory):
    """The real model's tensors as Tandem loads them, fp32."""
    out = tmp_path_factory.mktemp("dump") / "all.safetensors"
    dump(model_path, out)
    return load_file(out)


def huggingface_name(name):
    """"blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"."""
    whole = {"token_embd.weight": "model.embed_tokens.weight",
             "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}
    if name in whole:
        return whole[name]
    _, layer, part, _ = name.split(".")
    parts = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
             "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj"}
    return f"model.layers.{layer}.{parts[part]}.weight"


def heads_of(reader, name):
    """Heads whose rows a GGUF holds interleaved; 0 for other tensors."""
    if ".attn_q." in name:
        return reader.fields["llama.attention.head_count"].contents()
    if ".attn_k." in name:
        return reader.fields["llama.attention.head_count_kv"].contents()
    return 0


def interleave(weight, heads):
    """Rows from Hugging Face's order to GGUF's (convert_hf_to_gguf.py)."""
    if not heads:
        return weight
    rows, columns = weight.shape
    return (weight.reshape(heads, 2, rows // heads // 2, columns)
            .swapaxes(1, 2).reshape(rows, columns))


def assert_same_bits(a, b):
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    assert a.dtype == b.dtype and a.shape == b.shape
    np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))


def assert_dump_equals(reader, dumped):
    assert len(reader.tensors) == len(dumped)
    for tensor in reader.tensors:
        expected = gguf.dequantize(tensor.data, tensor.tensor_type)
        ours = dumped[huggingface_name(tensor.name)].numpy()
        assert_same_bits(interleave(ours, heads_of(reader, tensor.name)),
                         expected)


def test_real_model_is_dequantised_bit_for_bit(model_path, dumped):
    assert_dump_equals(gguf.GGUFReader(model_path), dumped)


ALPHABET = [chr(c) for c in [*range(33, 127), *range(161, 173),
                             *range(174, 256), *range(256, 324)]]


# Where a block holds f16 scales, in types that the package cannot quantise to.
SCALES = {Type.Q2_K: (80, 82), Type.Q3_K: (108,), Type.Q4_K: (0, 2),
          Type.Q5_K: (0, 2), Type.Q6_K: (208,), Type.IQ4_NL: (0,)}


def random_blocks(shape, type_, random):
    """Any bytes are a block, as long as its scales are finite."""
    values, size = gguf.GGML_QUANT_SIZES[type_]
    blocks = random.integers(
        0, 256, (shape[0], shape[1] // values, size), np.uint8)
    for at in SCALES[type_]:
        scales = random.standard_normal(blocks.shape[:2]).astype(np.float16)
        blocks[:, :, at:at + 2] = scales[..., None].view(np.uint8)
    return blocks.reshape(shape[0], -1)


def write_tiny_model(path, types, width=64):
    """A two-layer llama whose matrices take `types` in turn, and its values."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    # The writer leaves out an empty array, and llama.cpp wants the key.
    writer.add_token_list(["<s>", *ALPHABET, "th"])
    writer.add_token_types([3] + [1] * (len(ALPHABET) + 1))
    writer.add_token_merges(["t h"])
    random = np.random.default_rng(0)
    shapes = {"token_embd": (258, width), "output": (258, width),
              "output_norm": (width,)}
    for layer in range(2):
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in {
            "attn_norm": (width,), "attn_q": (width, width),
            "attn_k": (width // 2, width), "attn_v": (width // 2, width),
            "attn_output": (width, width), "ffn_norm": (width,),
            "ffn_gate": (2 * width, width), "ffn_up": (2 * width, width),
            "ffn_down": (width, 2 * width),
        }.items()}
    for i, (name, shape) in enumerate(shapes.items()):
        type_ = types[i % len(types)] if len(shape) == 2 else Type.F32
        if type_ in SCALES:
            data = random_blocks(shape, type_, random)
        else:
            data = gguf.quantize(
                random.standard_normal(shape, dtype=np.float32), type_)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("type_", [
    Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1,
    Type.Q8_0, *SCALES])
def test_every_type_is_dequantised_bit_for_bit(type_, dump, tmp_path):
    write_tiny_model(tmp_path / "tiny.gguf", [type_], width=256)
    dump(tmp_path / "tiny.gguf", tmp_path / "out.safetensors")
    reader = gguf.GGUFReader(tmp_path / "tiny.gguf")
    assert {t.tensor_type for t in reader.tensors if len(t.shape) == 2} == {type_}
    assert_dump_equals(reader, load_file(tmp_path / "out.safetensors"))


def test_other_types_are_refused_by_name(dump, tmp_path):
    write_tiny_model(tmp_path / "tiny.gguf", [Type.F32])
    data = bytearray((tmp_path / "tiny.gguf").read_bytes())
    at = data.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 16
    data[at] = 16  # IQ2_XXS
    (tmp_path / "tiny.gguf").write_bytes(data)
    message = dump(tmp_path / "tiny.gguf", tmp_path / "o.safetensors", code=1)
    assert "tensor type 16 is not one of F32" in message


@pytest.fixture(scope="session")
def exported(dump, model_path, tmp_path_factory):
    """exported(name): the real model as a GGUF of that type, made once."""
    folder = tmp_path_factory.mktemp("exported")

    def path(name):
        file = folder / f"{name}.gguf"
        if not file.is_file():
            dump(model_path, file, "gguf", name)
        return file

    return path


@pytest.mark.parametrize("name,matrices,tables,file_type", [
    ("f32", Type.F32, Type.F32, 0), ("f16", Type.F16, Type.F16, 1),
    ("bf16", Type.BF16, Type.BF16, 32), ("q8_0", Type.Q8_0, Type.Q8_0, 7),
    ("q4_0", Type.Q4_0, Type.Q8_0, 2)])
def test_export_equals_the_reference_quantiser(
        name, matrices, tables, file_type, dumped, exported):
    reader = gguf.GGUFReader(exported(name))
    assert reader.fields["general.file_type"].contents() == file_type
    assert len(reader.tensors) == len(dumped)
    for tensor in reader.tensors:
        # The package takes seconds for each layer; the others differ in nothing.
        if re.match(r"blk\.(?!(0|17|29)\.)", tensor.name):
            continue
        weight = dumped[huggingface_name(tensor.name)].numpy()
        expected_type = (Type.F32 if weight.ndim == 1 else tables
                         if tensor.name == "token_embd.weight" else matrices)
        assert tensor.tensor_type == expected_type
        assert tensor.data_offset % 32 == 0
        rows = interleave(weight, heads_of(reader, tensor.name))
        expected = gguf.quantize(rows, expected_type)
        assert_same_bits(np.asarray(tensor.data).view(np.uint8).reshape(-1),
                         np.ascontiguousarray(expected).view(np.uint8).reshape(-1))


@pytest.fixture(scope="session")
def llama_quantise():
    """llama_quantise(rows, type): rows as llama.cpp's own encoder makes them."""
    bins = ROOT / "tests/interop/node_modules/@node-llama-cpp"
    library = ctypes.CDLL(next(bins.glob("*/bins/*/libggml-base.so")))
    encode = library.ggml_quantize_chunk
    encode.restype = ctypes.c_size_t
    encode.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p,
                       *[ctypes.c_int64] * 3, ctypes.c_void_p]

    def run(rows, type_):
        rows = np.ascontiguousarray(rows, np.float32)
        values, size = gguf.GGML_QUANT_SIZES[type_]
        out = np.empty((rows.shape[0], rows.shape[1] // values * size), np.uint8)
        assert encode(type_, rows.ctypes.data, out.ctypes.data, 0, *rows.shape,
                      None) == out.nbytes
        return out

    return run


def rms_error(data, type_, rows):
    return np.sqrt(np.mean((gguf.dequantize(data, type_) - rows) ** 2))


def assert_encoded_as_well_as_llama_cpp(tensors, reader, weights,
                                        llama_quantise):
    """Blocks of 32 have the package's bytes, K-quants no larger an error."""
    for tensor in tensors:
        rows = interleave(weights[huggingface_name(tensor.name)].numpy(),
                          heads_of(reader, tensor.name))
        if tensor.tensor_type not in SCALES:
            expected = gguf.quantize(rows, tensor.tensor_type)
            assert_same_bits(
                np.asarray(tensor.data).view(np.uint8).reshape(-1),
                np.ascontiguousarray(expected).view(np.uint8).reshape(-1))
            continue
        theirs = llama_quantise(rows, tensor.tensor_type)
        assert rms_error(tensor.data, tensor.tensor_type, rows) <= \
            rms_error(theirs, tensor.tensor_type, rows), tensor.name


def types_of(reader, pattern):
    return {t.tensor_type for t in reader.tensors if re.search(pattern, t.name)}


# The type of whole blocks, of rows that are not, of the table; file_type.
K_TYPES = {"q4_k": (Type.Q4_K, Type.Q5_0, Type.Q6_K, 14),
           "q6_k": (Type.Q6_K, Type.Q8_0, Type.Q6_K, 18)}


@pytest.mark.parametrize("name", K_TYPES)
def test_k_quants_of_whole_blocks(name, dump, llama_quantise, tmp_path):
    type_, _, table, file_type = K_TYPES[name]
    write_tiny_model(tmp_path / "tiny.gguf", [Type.F32], width=256)
    dump(tmp_path / "tiny.gguf", tmp_path / "tiny.safetensors")
    dump(tmp_path / "tiny.gguf", tmp_path / "out.gguf", "gguf", name)
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    assert reader.fields["general.file_type"].contents() == file_type
    assert types_of(reader, "attn_[qkvo]|ffn_[^n]") == {type_}
    assert types_of(reader, "^token_embd|^output.w") == {table}
    assert types_of(reader, "norm") == {Type.F32}
    assert_encoded_as_well_as_llama_cpp(
        reader.tensors, reader, load_file(tmp_path / "tiny.safetensors"),
        llama_quantise)
    dump(tmp_path / "out.gguf", tmp_path / "out.safetensors")
    assert_dump_equals(reader, load_file(tmp_path / "out.safetensors"))


@pytest.mark.parametrize("name", K_TYPES)
def test_k_quants_of_the_real_model_fall_back(name, dumped, exported,
                                              llama_quantise):
    """Rows of 576 are no whole blocks, those of ffn_down, 1536, are."""
    type_, fallback, _, file_type = K_TYPES[name]
    reader = gguf.GGUFReader(exported(name))
    assert reader.fields["general.file_type"].contents() == file_type
    assert types_of(reader, "ffn_down") == {type_}
    assert types_of(reader, "attn_[qkvo]|ffn_[gu]") == {fallback}
    assert types_of(reader, "token_embd") == {Type.Q8_0}
    first_layer = [t for t in reader.tensors if t.name.startswith("blk.0.")]
    assert len(first_layer) == 9
    assert_encoded_as_well_as_llama_cpp(first_layer, reader, dumped,
                                        llama_quantise)


def test_export_carries_the_whole_metadata(model_path, exported):
    ours = gguf.GGUFReader(exported("q8_0"))
    original = gguf.GGUFReader(model_path)
    described = {"general.name", "general.file_type", "general.organization",
                 "general.finetune", "general.basename", "general.size_label",
                 "general.license", "general.languages"}
    for key, field in original.fields.items():
        if key.startswith("GGUF.") or key in described:
            continue
        assert key in ours.fields, key
        assert ours.fields[key].types == field.types, key
        assert ours.fields[key].contents() == field.contents(), key


@pytest.fixture(scope="module")
def folder(dump, model_path, tmp_path_factory):
    """The real model saved as a Hugging Face folder, fp32."""
    folder = tmp_path_factory.mktemp("hf")
    dump(model_path, folder, "hf", "f32")
    return folder


def test_folder_loads_in_transformers(folder, dumped):
    from transformers import AutoModelForCausalLM, GenerationConfig
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    state = model.state_dict()
    for name, tensor in dumped.items():
        assert torch.equal(state[name], tensor), name
    assert set(state) - set(dumped) == {"lm_head.weight"}  # tied
    assert model.config.rope_theta == 100000
    assert GenerationConfig.from_pretrained(folder).eos_token_id == 2


def reference_tokenizer(reader):
    """A tokenizer built from the GGUF's own metadata: transformers' conversion
    of it is wrong."""
    from tokenizers import (AddedToken, Tokenizer, decoders, models,
                            pre_tokenizers)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = reader.fields["tokenizer.ggml.merges"].contents()
    tokenizer = Tokenizer(models.BPE(
        vocab={t: i for i, t in enumerate(tokens)},
        merges=[tuple(m.split(" ")) for m in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([
        AddedToken(token, special=True, normalized=False)
        for token, type_ in zip(tokens, types) if type_ == 3])
    return tokenizer


def test_folder_tokenizer_gives_the_reference_ids(folder, model_path):
    from transformers import AutoTokenizer
    reader = gguf.GGUFReader(model_path)
    reference = reference_tokenizer(reader)
    ours = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        ids = reference.encode(text).ids
        assert ours(text)["input_ids"] == ids, text
        assert ours.decode(ids) == reference.decode(ids, False)
    assert (ours.bos_token, ours.eos_token, ours.pad_token, ours.unk_token) == (
        "<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>")
    assert ours.model_max_length == 8192
    assert ours.chat_template == \
        reader.fields["tokenizer.chat_template"].contents()
    chat = [{"role": "user", "content": "Hi"}]
    assert "<|im_start|>user\nHi<|im_end|>" in ours.apply_chat_template(
        chat, tokenize=False)


def test_folder_saved_by_transformers_is_read(dump, folder, dumped, tmp_path):
    """Ours -> transformers -> ours: another writer's files, the same model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    again = tmp_path / "again"
    AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32).save_pretrained(again, max_shard_size="200MB")
    AutoTokenizer.from_pretrained(folder).save_pretrained(again)
    assert len(list(again.glob("*.safetensors"))) > 1
    dump(again, tmp_path / "again.safetensors")
    dump(folder, tmp_path / "folder.safetensors")
    digests = []
    for name in ("again", "folder"):
        with safe_open(tmp_path / f"{name}.safetensors", "pt") as file:
            digests.append(file.metadata()["digest"])
    assert digests[0] == digests[1]
    dump(again, tmp_path / "again.gguf", "gguf", "q8_0")
    dump(folder, tmp_path / "folder.gguf", "gguf", "q8_0")
    keys = [gguf.GGUFReader(tmp_path / f"{name}.gguf").fields
            for name in ("again", "folder")]
    for key in keys[1]:
        if key not in ("general.name", "GGUF.version"):
            assert keys[0][key].contents() == keys[1][key].contents(), key


def test_shards_are_read_by_transformers(tandem, dump, folder, dumped, tmp_path):
    from transformers import AutoModelForCausalLM
    tandem("export", "--model", folder, "--format", "hf", "--type", "f32",
           "--max-shard-size", "150MB", "--out", tmp_path / "sharded")
    index = json.loads(
        (tmp_path / "sharded/model.safetensors.index.json").read_text())
    shards = sorted((tmp_path / "sharded").glob("*.safetensors"))
    assert [s.name for s in shards] == [
        f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        for i in range(len(shards))]
    assert len(shards) > 2 and set(index["weight_map"].values()) == {
        shard.name for shard in shards}
    assert all(s.stat().st_size < 150e6 + 1e5 for s in shards)
    assert index["metadata"]["total_size"] == sum(
        t.nbytes for t in dumped.values())
    model, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "sharded", dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":  # tied
            assert torch.equal(tensor, dumped[name]), name
    dump(tmp_path / "sharded", tmp_path / "again.safetensors")
    for name, tensor in load_file(tmp_path / "again.safetensors").items():
        assert torch.equal(tensor, dumped[name]), name


def test_half_precision_folders_round_as_torch_does(dump, dumped, model_path,
                                                    tmp_path):
    for name, dtype in {"f16": torch.float16, "bf16": torch.bfloat16}.items():
        dump(model_path, tmp_path / name, "hf", name)
        saved = load_file(tmp_path / name / "model.safetensors")
        assert saved.keys() == dumped.keys()
        for key, tensor in dumped.items():
            assert torch.equal(saved[key], tensor.to(dtype)), key


def test_safetensors_of_the_reference_package_are_read(dump, folder, tmp_path):
    """The weights written by the safetensors package, in another order."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (copy / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensors[name].clone() for name in reversed(tensors)},
              copy / "model.safetensors")
    dump(copy, tmp_path / "copy.safetensors")
    for name, tensor in load_file(tmp_path / "copy.safetensors").items():
        assert torch.equal(tensor, tensors[name]), name


@pytest.fixture(scope="module")
def ids_of_llama_cpp(llama, model_path):
    """What it makes of TEXTS with the original file."""
    return llama(model_path, texts=TEXTS)


@pytest.mark.parametrize("name", ["f16", "q8_0", "q4_0", "q6_k", "q4_k"])
def test_export_loads_in_llama_cpp(name, exported, llama, ids_of_llama_cpp):
    assert llama(exported(name), texts=TEXTS) == ids_of_llama_cpp
