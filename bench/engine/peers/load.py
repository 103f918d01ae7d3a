"""From a Hugging Face folder to a PEFT model and its optimizer."""

import models
import session


def main():
    flags = session.arguments(__doc__, ("dtype", "bf16"))

    def load():
        models.with_lora(models.load(flags, flags.dtype), "all")

    session.repeat(flags, "loads", lambda: (1, session.timed(load)),
                   dtype=flags.dtype)


main()
