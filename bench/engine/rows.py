"""The rows of the engine's table: our command, its peers, and what we promise.

Goals: our rate as a multiple of the fastest peer's, and our peak memory as a
share of that peer's. transformers runs in bf16 and in fp32: which is faster
depends on whether the processor multiplies bf16.
"""

import dataclasses
import pathlib

import inputs

PEERS = pathlib.Path(__file__).resolve().parent / "peers"
NODE_PACKAGES = inputs.ROOT / "tests" / "interop"


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    arguments: tuple  # the script and its flags
    model: pathlib.Path = inputs.PEER_MODEL
    warm_up: int = 1
    emulated: bool = False  # its products, by a processor without them


@dataclasses.dataclass(frozen=True)
class Row:
    name: str  # for --only; several rows may share one
    work: str
    goal: float
    ours: tuple  # the row of engine_bench and its flags
    peers: tuple
    input: str = ""
    rss_goal: float | None = None
    threads: tuple = (1, 2)
    # A repetition is one process, from its start to its end.
    whole_process: bool = False


# The weights' type: the peers' folder holds them in it.
BFLOAT16 = ("--dtype", "bf16")


def cpu_has(*flags):
    cpu = pathlib.Path("/proc/cpuinfo").read_text()
    return any(flag in cpu for flag in flags)


def multiplies_bf16():
    return cpu_has("avx512_bf16", "amx_bf16")


def gemm_dtypes():
    """In which ours multiplies: bf16 weights in integers on AVX2 alone."""
    integers = cpu_has("avx2") and not cpu_has("avx512f")
    return ("fp32", "bf16", *(("int16",) if integers else ()))


def transformers(script, *flags, name="transformers", warm_up=1,
                 multiplies=True):
    """The peer in both dtypes."""
    return (Peer(f"{name}, fp32", (script, "--dtype", "fp32", *flags),
                 warm_up=warm_up),
            Peer(f"{name}, bf16", (script, "--dtype", "bf16", *flags),
                 warm_up=warm_up,
                 emulated=multiplies and not multiplies_bf16()))


def training(work, goal, input, *flags, rss_goal=None, name="train", ours=(),
             **peer):
    peers = transformers("train.py", *flags, **{"name": "transformers + PEFT",
                                                **peer})
    return Row(name, work, goal, ("train", *BFLOAT16, *ours), peers, input,
               rss_goal)


def llama(work):
    return Peer("llama-cpp-python", ("run_llama.py", "--work", work),
                model=inputs.GGUF)


NODE_LLAMA = Peer("node-llama-cpp, prebuilt",
                  ("decode_node.mjs", "--packages", str(NODE_PACKAGES)),
                  model=inputs.GGUF)
ITEMS = ("--items", "200")  # of 570
BLOCKS = ("--dtype", "quantised")  # as the file has them
LOADED = Row("load", "load the GGUF into bf16 weights, ready to train", 3,
             ("load", *BFLOAT16), transformers("load.py", multiplies=False))
QV = ("--targets", "qv")

ROWS = (
    training("LoRA step, all seven linears, B=4 x S=256", 1.7,
             "batch_4x256.json", rss_goal=0.45),
    training("LoRA step, all seven linears, B=1 x S=512", 1.7,
             "batch_1x512.json", rss_goal=0.5),
    training("LoRA step, q and v, B=1 x S=512", 1.7, "batch_1x512.json", *QV,
             ours=QV, name="train_qv"),
    training("LoRA step, q and v, B=1 x S=512, peer compiled", 1.4,
             "batch_1x512.json", *QV, "--compile", "1", ours=QV,
             name="train_compiled", warm_up=2),
    training("LoRA step, realistic labels: 8 documents of 20..250 tokens", 2.5,
             "ragged.json", name="train_ragged"),
    Row("distil", "distillation step, 30-layer teacher, 15-layer student", 1.6,
        ("distil", *BFLOAT16), transformers("distil.py"), "batch_1x512.json", 0.45),
    Row("capture", "teacher's top 64 of 512 tokens", 1.15, ("capture", *BFLOAT16),
        transformers("capture.py"), "prompt_512.json", 0.6),
    Row("decode", "greedy decoding, 128 tokens, from Q4_1", 1.1, ("decode", *BLOCKS),
        (llama("decode"), NODE_LLAMA, *transformers("run_transformers.py")),
        "prompt_64.json"),
    Row("prompt", "prompt of 512 tokens, last logits", 1.1, ("prompt", *BFLOAT16),
        (llama("prompt"),
         *transformers("run_transformers.py", "--work", "prompt")),
        "prompt_512.json"),
    Row("choose", "arc_easy validation by log-likelihood, 200 items", 2,
        ("choose", *BFLOAT16, *ITEMS), transformers("choose.py", *ITEMS),
        "../../data/eval/arc_easy/rc_0shot/requests.jsonl.gz"),
    Row("tokenize", "tokenizer, mixed text", 1, ("tokenize",),
        (Peer("tokenizers", ("tokenize_texts.py",)),), "texts.json",
        threads=(1,)),
    dataclasses.replace(LOADED, name="start", whole_process=True,
                        work="start: load the GGUF, ready to train"),
    LOADED,
    dataclasses.replace(LOADED, name="load_blocks", ours=("load", *BLOCKS),
                        work="the same in the file's blocks (QLoRA)"),
)
