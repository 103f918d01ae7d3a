"""What `tandem export` writes, read by those it is written for.

A short simulated run tunes the whole teacher; its student is the GGUF itself.
Ours is then the model that the exports must agree with: the GGUF plus the
run's adapter, in fp32.
"""

import json

import pytest
import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = [
    "The compiler turns source text into machine code.",
    "Define: yak shaving. Any seemingly pointless activity which is necessary "
    "to solve a problem which solves a problem.",
    "def add(a, b):\n    return a + b\n\nprint(add(2, 3))\n",
]

# Patterns whose continuation a language model is sure of.
PROMPTS = [
    "hello world " * 6 + "hello",
    "2 4 6 8 " * 4 + "2",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,",
    "The cat sat on the mat. " * 5,
    "x = 1\n" * 6 + "x",
    "31, 32, 33, 34, 35, 36, 37, 38, 39, 40,",
    "foo bar " * 8 + "foo",
    "3 6 9 " * 6 + "3",
    "print(7)\n" * 6 + "print",
    "The sun is hot. " * 6,
    "one two three four " * 4,
    "north and south " * 6,
    "A B C D E F G " * 4,
    "a; b; c; " * 6,
]
NEW_TOKENS = 32
SURE = 0.5  # between the two largest logits, at every step
ENOUGH = 3  # prompts

CONFIG = """
run: {{name: export, directory: {directory}}}
model: {{student: {model}, compute_dtype: fp32, threads: 2}}
rounds: {{count: 1, min_clients: 1}}
training: {{steps: 3, batch_size: 2, max_sequence_tokens: 64}}
distillation: {{enabled: false}}
evaluation: {{at_clients: false}}
simulation: {{private_data: [{{train: {data}}}]}}
"""


@pytest.fixture(scope="module")
def exports(tandem, model_path, tmp_path_factory):
    """Folder with peft/, hf/ (f16), hf-bf16/ and NAME.gguf for GGUFs."""
    folder = tmp_path_factory.mktemp("exports")
    data = folder / "data.jsonl"
    data.write_text("".join(
        json.dumps({"prompt": f"Define: {word}", "completion": text}) + "\n"
        for word, text in zip(("compiler", "yak shaving", "add"), TEXTS)))
    config = folder / "server.yaml"
    config.write_text(CONFIG.format(directory=folder / "run", model=model_path,
                                    data=data))
    tandem("simulate", "--config", config, "--clients", 1)
    for name, flags in {"peft": ["peft"],
                        "hf": ["hf", "--type", "f16"],
                        "hf-bf16": ["hf"],
                        "f16.gguf": ["gguf", "--type", "f16"],
                        "q8_0.gguf": ["gguf", "--type", "q8_0"],
                        "bf16.gguf": ["gguf", "--type", "bf16"],
                        "q4_0.gguf": ["gguf", "--type", "q4_0"],
                        "q4_k.gguf": ["gguf", "--type", "q4_k"],
                        "q6_k.gguf": ["gguf", "--type", "q6_k"]}.items():
        tandem("export", "--run", folder / "run", "--out", folder / name,
               "--format", *flags)
    return folder


@pytest.fixture(scope="module")
def ids(tandem, model_path, tmp_path_factory):
    """Token ids of TEXTS."""
    lines = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    lines.write_text("".join(json.dumps(text) + "\n" for text in TEXTS))
    printed = tandem("model", "tokenize", "--model", model_path,
                     "--json-lines", lines)
    return [json.loads(line) for line in printed.splitlines()]


@pytest.fixture(scope="module")
def our_logits(parity):
    """our_logits(ids, model=...): our fp32 logits of several lists of ids."""
    def run(ids, **model):
        computed = parity(documents=ids, logits=True,
                          **{k: str(v) for k, v in model.items()})
        return [computed[f"logits.{i}"] for i in range(len(ids))]

    return run


@pytest.fixture(scope="module")
def ours(our_logits, model_path, exports, ids):
    """Our logits of TEXTS by the tuned model, before any export of weights."""
    return our_logits(ids, model=model_path, adapter=exports / "peft")


@torch.no_grad()
def logits_by(model, ids):
    return [model(torch.tensor([i])).logits[0].float() for i in ids]


def largest_difference(model, ids, expected):
    return max((theirs - e).abs().max().item()
               for theirs, e in zip(logits_by(model, ids), expected))


@pytest.fixture(scope="module")
def peft_model(reference_folder, exports):
    """transformers' base model and our adapter, loaded by PEFT, fp32."""
    from peft import PeftModel
    base = AutoModelForCausalLM.from_pretrained(reference_folder,
                                                dtype=torch.float32)
    return PeftModel.from_pretrained(base, exports / "peft").eval()


@pytest.fixture(scope="module")
def merged_in_half(peft_model, ids):
    """Logits of PEFT's own merge, weights rounded to f16 by torch.

    The rounding alone moves logits by 0.06; an export must not add to it.
    """
    import copy
    merged = copy.deepcopy(peft_model).merge_and_unload()
    return logits_by(merged.half().float(), ids)


def test_adapter_changes_the_model(logits_of, model_path, ids, ours):
    """Else the tests below would prove nothing about it."""
    base = logits_of(ids[0], "--model", model_path)
    assert (base - ours[0]).abs().max() > 0.1


def test_peft_loads_the_adapter(peft_model, ids, ours):
    assert largest_difference(peft_model, ids, ours) <= 1e-3


def test_transformers_loads_the_merged_folder(exports, our_logits, ids,
                                              merged_in_half):
    model = AutoModelForCausalLM.from_pretrained(
        exports / "hf", dtype=torch.float32).eval()
    expected = our_logits(ids, model=exports / "hf")
    assert largest_difference(model, ids, expected) <= 1e-2
    assert largest_difference(model, ids, merged_in_half) <= 1e-2


def test_merged_folder_is_bfloat16_by_default(exports, our_logits, ids):
    model = AutoModelForCausalLM.from_pretrained(exports / "hf-bf16",
                                                 dtype="auto")
    assert model.dtype == torch.bfloat16
    expected = our_logits(ids, model=exports / "hf-bf16")
    assert largest_difference(model.float().eval(), ids, expected) <= 1e-3


def test_folder_has_tokenizer_and_template(tandem, exports, ids):
    tokenizer = AutoTokenizer.from_pretrained(exports / "hf")
    assert [tokenizer(text).input_ids for text in TEXTS] == ids
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False,
        add_generation_prompt=True)
    assert rendered.endswith(
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    reply = json.loads(tandem(
        "generate", "--model", exports / "hf", "--prompt", "Hi",
        "--max-tokens", 1, "--json"))
    assert reply["prompt_tokens"] == \
        tokenizer(rendered, add_special_tokens=False).input_ids


def test_transformers_loads_the_gguf(exports, our_logits, ids, merged_in_half):
    model = AutoModelForCausalLM.from_pretrained(
        exports, gguf_file="f16.gguf", dtype=torch.float32).eval()
    expected = our_logits(ids, model=exports / "f16.gguf")
    assert largest_difference(model, ids, expected) <= 1e-2
    assert largest_difference(model, ids, merged_in_half) <= 1e-2


def sure_replies(tandem, our_logits, prompts=PROMPTS, count=NEW_TOKENS, **model):
    """[(prompt ids, reply ids, reply text)] where ours is sure of every token.

    model: what names it, for the command and for our_logits.
    """
    flags = [x for name, value in model.items() for x in (f"--{name}", value)]
    texts = [x for prompt in prompts for x in ("--prompt", prompt.strip())]
    replies = json.loads(tandem(
        "generate", *flags, "--raw", *texts, "--max-tokens", count,
        "--dtype", "fp32", "--json"))["replies"]
    replies = [reply for reply in replies if len(reply["tokens"]) == count]
    all_logits = our_logits(
        [reply["prompt_tokens"] + reply["tokens"] for reply in replies], **model)
    sure = []
    for reply, logits in zip(replies, all_logits):
        before, after = reply["prompt_tokens"], reply["tokens"]
        best = logits[len(before) - 1:-1].topk(2)
        if (best.values[:, 0] - best.values[:, 1]).min() > SURE:
            assert best.indices[:, 0].tolist() == after  # greedy, and the cache
            sure.append((before, after, reply["text"]))
    assert len(sure) >= ENOUGH, f"only {len(sure)} prompts without a near tie"
    return sure[:ENOUGH]


@pytest.mark.parametrize("name", ["f16.gguf", "bf16.gguf", "q8_0.gguf",
                                  "q4_0.gguf", "q4_k.gguf", "q6_k.gguf"])
def test_llama_cpp_continues_as_we_do(tandem, our_logits, llama, exports, name):
    sure = sure_replies(tandem, our_logits, model=exports / name)
    answer = llama(exports / name, prompts=[before for before, _, _ in sure],
                   texts=TEXTS, new_tokens=NEW_TOKENS)
    for (_, after, text), theirs in zip(sure, answer["replies"], strict=True):
        assert theirs == {"ids": after, "text": text}


def test_llama_cpp_tokenises_the_export_as_we_do(llama, exports, ids):
    assert llama(exports / "f16.gguf", texts=TEXTS)["ids"] == ids


LEARNT = [  # whose continuations the base model cannot know
    "The lantern of Marrow Hill is lit by seven grey owls who count the boats "
    "and sing to the quiet baker.",
    "My cousin Odelia keeps nine copper kettles in the attic because the rain "
    "once told her to wait for Friday.",
    "Rule one of the glass harbour: never paint a door before the tide has "
    "finished its second cup of coffee.",
    "Under the green library sleeps a clock that eats only cinnamon, paper "
    "boats and the names of old teachers.",
]
LEARNT_TOKENS = 12  # of a continuation


@pytest.fixture(scope="module")
def learnt(tandem, model_path, tmp_path_factory):
    """Folder with an adapter that knows LEARNT: peft/ and lora.gguf."""
    folder = tmp_path_factory.mktemp("learnt")
    (folder / "data.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in LEARNT))
    tandem("train", "--model", model_path, "--data", folder / "data.jsonl",
           "--out", folder / "peft", "--steps", 25, "--batch-size", 4,
           "--learning-rate", 5e-3, "--rank", 4, "--rslora", "--alpha", 6,
           "--target-modules", "q_proj,k_proj,v_proj,down_proj")
    tandem("export", "--model", model_path, "--adapter", folder / "peft",
           "--format", "gguf-lora", "--out", folder / "lora.gguf")
    return folder


def test_lora_gguf_fits_its_base(learnt, model_path):
    """What llama.cpp checks of shapes (src/llama-adapter.cpp)."""
    reader = GGUFReader(learnt / "lora.gguf")
    for key, value in {"general.type": "adapter", "adapter.type": "lora",
                       "general.architecture": "llama",
                       "adapter.lora.alpha": 12}.items():  # 6 sqrt(4)
        assert reader.fields[key].contents() == value
    base = {t.name: list(t.shape) for t in GGUFReader(model_path).tensors}
    shapes = {t.name: list(t.shape) for t in reader.tensors}
    assert len(shapes) == 2 * 4 * 30
    for name, a in shapes.items():
        if name.endswith(".lora_b"):
            continue
        weight = base[name.removesuffix(".lora_a")]
        b = shapes[name.removesuffix("a") + "b"]
        assert a == [weight[0], 4] and b == [4, weight[1]]


def test_lora_gguf_is_the_adapter(learnt, our_logits, model_path, ids):
    one, other = (our_logits(ids[:1], model=model_path, adapter=learnt / name)[0]
                  for name in ("peft", "lora.gguf"))
    assert torch.equal(one, other)


def test_llama_cpp_loads_the_lora_gguf(tandem, our_logits, llama, learnt,
                                       model_path):
    sure = sure_replies(
        tandem, our_logits, [" ".join(text.split()[:6]) for text in LEARNT],
        LEARNT_TOKENS, model=model_path, adapter=learnt / "peft")
    request = {"prompts": [before for before, _, _ in sure],
               "new_tokens": LEARNT_TOKENS}
    adapted = llama(model_path, lora=str(learnt / "lora.gguf"), **request)
    base = llama(model_path, **request)
    for (_, after, text), theirs, without in zip(
            sure, adapted["replies"], base["replies"], strict=True):
        assert theirs == {"ids": after, "text": text}
        assert without["ids"] != after
