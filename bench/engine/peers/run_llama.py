"""Greedy decoding, or a prompt's last logits, by llama-cpp-python.

Below its Llama class: the C functions, so that no wrapper's Python counts.
"""

import time

import llama_cpp
import numpy

import session

NEW_TOKENS = 128


class Model:
    def __init__(self, flags):
        self._llama = llama_cpp.Llama(
            flags.model, n_ctx=1024, n_batch=512, n_ubatch=512,
            n_threads=flags.threads, n_threads_batch=flags.threads,
            verbose=False)
        self._context = self._llama._ctx.ctx

    def forget(self):
        llama_cpp.llama_memory_clear(
            llama_cpp.llama_get_memory(self._context), True)

    def feed(self, tokens):
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        failed = llama_cpp.llama_decode(
            self._context, llama_cpp.llama_batch_get_one(array, len(tokens)))
        assert not failed

    def likeliest(self):
        logits = llama_cpp.llama_get_logits_ith(self._context, -1)
        return int(numpy.ctypeslib.as_array(
            logits, shape=(self._llama.n_vocab(),)).argmax())


def decode(model, ids):
    """Tokens after the first, and the seconds that they took."""
    model.forget()
    model.feed(ids)
    token = model.likeliest()
    start = time.perf_counter()
    for _ in range(NEW_TOKENS - 1):
        model.feed([token])
        token = model.likeliest()
    return NEW_TOKENS - 1, time.perf_counter() - start


def prompt(model, ids):
    model.forget()
    model.feed(ids)
    model.likeliest()


def main():
    flags = session.arguments(__doc__, ("work", "decode"))
    ids = session.documents(flags)[0][0]
    model = Model(flags)

    def work():
        if flags.work == "decode":
            return decode(model, ids)
        return len(ids), session.timed(lambda: prompt(model, ids))

    session.repeat(flags, "tokens", work)


main()
