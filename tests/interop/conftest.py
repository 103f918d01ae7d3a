"""What the interop tests share: the command, the model, and the oracles.

TANDEM_BIN_DIR (set by ctest) is the folder of the binary; what is slow to make
is kept in build/interop.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "interop"
MODEL = ROOT / "data" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA = ROOT / "data" / "models" / "gemma-3-270m-q4_k_m.gguf"


@pytest.fixture(scope="session")
def model_path():
    """The GGUF file that everything starts from."""
    assert MODEL.is_file(), f"{MODEL} is missing: run scripts/bootstrap.sh"
    return MODEL


def binary(name):
    """The path of a program that the build made."""
    folder = os.environ.get("TANDEM_BIN_DIR", ROOT / "build/release/bin")
    return pathlib.Path(folder) / name


@pytest.fixture(scope="session")
def tandem():
    """tandem(*arguments): runs the command, returns what it printed.

    Fails the test where the exit code is not `code`; with code 0 returns
    standard output, else standard error.
    """
    def run(*arguments, code=0, timeout=600):
        done = subprocess.run([binary("tandem"), *map(str, arguments)], cwd=ROOT,
                              capture_output=True, text=True, timeout=timeout)
        assert done.returncode == code, \
            f"{arguments}: exit code {done.returncode}\n{done.stderr}"
        return done.stderr if code else done.stdout

    return run


@pytest.fixture(scope="session")
def program():
    """program(name, text): what a helper of this folder prints, asked text."""
    def run(name, text):
        done = subprocess.run([binary(name)], input=text, capture_output=True,
                              text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def logits_of(tandem, tmp_path_factory):
    """logits_of(ids, *flags): ours, float32 [tokens, vocabulary]."""
    from safetensors.torch import load_file
    out = tmp_path_factory.mktemp("logits") / "logits.safetensors"

    def run(ids, *flags):
        tandem("model", "logits", "--tokens", ",".join(map(str, ids)),
               "--out", out, *flags)
        logits = load_file(out)["logits"].clone()
        assert logits.shape[0] == len(ids)
        return logits

    return run


@pytest.fixture(scope="session")
def parity(model_path, tmp_path_factory):
    """parity(**request): what parity.cc computed, tensors by name."""
    from safetensors.torch import load_file
    place = tmp_path_factory.mktemp("parity")

    def run(**request):
        request = {"model": str(model_path), **request}
        (place / "request.json").write_text(json.dumps(request))
        done = subprocess.run(
            [binary("parity"), place / "request.json", place / "out.safetensors"],
            capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return {k: v.clone()
                for k, v in load_file(place / "out.safetensors").items()}

    return run


@pytest.fixture(scope="session")
def dump():
    """dump(model, out, ...): runs tests/interop/dump_checkpoint.cc."""
    def run(*arguments, code=0):
        done = subprocess.run(
            [binary("dump_checkpoint"), *map(str, arguments)],
            text=True, capture_output=True, timeout=300)
        assert done.returncode == code, done.stderr
        return done.stderr

    return run


@pytest.fixture(scope="session")
def reference_folder(model_path):
    """The model as transformers dequantises it: a Hugging Face folder, fp32.

    No tokenizer: transformers' conversion of this file's is wrong.
    """
    folder = CACHE / "SmolLM2-135M-Instruct-fp32"
    if not (folder / "config.json").is_file():
        import torch
        from transformers import AutoModelForCausalLM
        model = AutoModelForCausalLM.from_pretrained(
            model_path.parent, gguf_file=model_path.name, dtype=torch.float32)
        CACHE.mkdir(parents=True, exist_ok=True)
        made = pathlib.Path(tempfile.mkdtemp(dir=CACHE))
        model.save_pretrained(made)
        try:
            made.rename(folder)
        except OSError:  # another test process was faster
            shutil.rmtree(made)
    return folder


@pytest.fixture(scope="session")
def reference_model(reference_folder):
    """The same, loaded, in evaluation mode."""
    import torch
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(
        reference_folder, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def llama():
    """llama(model, ...): asks a real llama.cpp, see llama.mjs."""
    node = ROOT / ".venv" / "bin" / "node"
    script = ROOT / "tests" / "interop" / "llama.mjs"
    assert (script.parent / "node_modules").is_dir(), \
        "llama.cpp is missing: run scripts/test.sh"

    def run(model, **request):
        # Without threads of V8's: one of them, waiting for a collection, can
        # keep the process from ending.
        done = subprocess.run(
            [node, "--v8-pool-size=0", script],
            input=json.dumps({"model": str(model), **request}),
            capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def answer_of(tmp_path_factory):
    """answer_of(program, request, *arguments): what one of our test programs
    prints for a request, both JSON; the request's file is the last argument.
    """
    def run(program, request, *arguments):
        path = tmp_path_factory.mktemp("requests") / "request.json"
        path.write_text(json.dumps(request))
        done = subprocess.run(
            [binary(program), *arguments, path],
            capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def rendered(answer_of):
    """rendered(templates, variables): render_templates' answers."""
    return lambda templates, variables, now=0: answer_of(
        "render_templates", [{"template": template, "variables": variables,
                              "now": now} for template in templates])
