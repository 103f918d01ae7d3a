"""engine.json as Markdown.

usage: report.py [--write]    prints it, or puts it into bench/README.md
"""

import json
import pathlib
import sys

BENCH = pathlib.Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- engine.json begins -->", "<!-- engine.json ends -->"
# Multiply-adds of a SmolLM2-135M token, forwards: 30 layers' linears, the head.
# A LoRA step does each twice (no gradient of the frozen weights), at 2 FLOP.
MULTIPLY_ADDS = 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536) \
    + 576 * 49152
STEP_FLOPS_PER_TOKEN = 2 * 2 * MULTIPLY_ADDS


def number(value):
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def rate(side):
    scale, unit = (1e6, "MB/s") if side["unit"] == "bytes/s" \
        else (1, side["unit"])
    low, middle, high = (number(side[k] / scale)
                         for k in ("min", "median", "max"))
    mark = " *" if side["contended"] else ""
    return f"{middle} ({low}..{high}) {unit}{mark}"


def megabytes(side):
    return f"{side['peak_rss_bytes'] / 1e6:,.0f} MB"


def holds(row):
    missed = []
    if not row["holds"]:
        missed.append("speed")
    if not row.get("rss_holds", True):
        missed.append("memory")
    return "yes" if not missed else "**no**: " + ", ".join(missed)


def memory_goal(row):
    if "rss_ratio" not in row:
        return ""
    return f"{row['rss_ratio']:.2f} (<= {row['rss_goal']:g})"


def line(row):
    return (f"{row['work']}, {row['threads']} threads: {rate(row['ours'])}, "
            f"{megabytes(row['ours'])}; {row['peer']['name']}: "
            f"{rate(row['peer'])}, {megabytes(row['peer'])}; "
            f"{row['ratio']:.2f}x of {row['goal_ratio']:g}x, "
            f"memory {memory_goal(row) or '-'}: {holds(row)}")


def gemm_line(peak):
    return (f"GEMM {peak['dtype']}, {peak['threads']} threads: "
            f"{peak['median']:.0f} GFLOP/s ({peak['min']:.0f}.."
            f"{peak['max']:.0f})")


def table(header, lines):
    rule = ["---"] * len(header)
    return "\n".join("| " + " | ".join(map(str, cells)) + " |"
                     for cells in (header, rule, *lines))


def rows_table(content):
    header = ("work", "threads", "Tandem", "peak", "fastest peer", "peak",
              "ratio (goal)", "memory (goal)", "holds")
    return table(header, (
        (row["work"], row["threads"], rate(row["ours"]),
         megabytes(row["ours"]),
         f"{row['peer']['name']}: {rate(row['peer'])}",
         megabytes(row["peer"]),
         f"{row['ratio']:.2f} (>= {row['goal_ratio']:g})", memory_goal(row),
         holds(row)) for row in content["rows"]))


def step_gflops(content, threads):
    """Of the first training row; None where it has not been run."""
    for row in content["rows"]:
        if row["row"] == "train" and row["threads"] == threads:
            return row["ours"]["median"] * STEP_FLOPS_PER_TOKEN / 1e9
    return None


def gemm_table(content):
    lines = []
    for peak in content["gemm"]:
        step = step_gflops(content, peak["threads"])
        share = "" if step is None else \
            f"{step:.0f} GFLOP/s, {step / peak['median']:.0%}"
        lines.append((peak["dtype"], peak["threads"],
                      f"{peak['median']:.0f} ({peak['min']:.0f}.."
                      f"{peak['max']:.0f})", share))
    return table(("GEMM", "threads", "peak, GFLOP/s",
                  "the training step (B=4 x S=256)"), lines)


def heading(content):
    machine = content["machine"]
    commits = dict.fromkeys(row["tandem"] for row in content["rows"])
    turns = sorted({len(row["ours"]["values"]) for row in content["rows"]})
    named = ", ".join([f"tandem {' and '.join(commits)}", *(
        f"{k} {v}" for k, v in content["versions"].items())])
    return (f"{machine['cpu']} (family, model, stepping "
            f"{'/'.join(map(str, machine['family_model_stepping']))}; "
            f"{' '.join(machine['flags'])}), {machine['cores']} cores, "
            f"{machine['memory_bytes'] / 1e9:.0f} GB. {named}. "
            f"Median (min..max) of {' or '.join(map(str, turns))} "
            "repetitions, ours and the peers' in turn; * : others used the "
            "machine meanwhile.")


def markdown(content):
    return "\n\n".join((heading(content), rows_table(content),
                        gemm_table(content)))


def write_into_readme(text):
    readme = BENCH / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main():
    content = json.loads((BENCH / "results" / "engine.json").read_text())
    text = markdown(content)
    if "--write" in sys.argv[1:]:
        write_into_readme(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
