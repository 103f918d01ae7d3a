"""Holds the engine against its peers and writes bench/results/engine.json.

usage: run.py [--only ROW,ROW] [--threads 1,2] [--repetitions 5]
              [--skip-emulated]

bench/run.sh engine calls it, having built and installed all it needs. Rows that
are not run again keep what they had in the file.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

import inputs
import report
import rows
import turns

RESULTS = inputs.ROOT / "bench" / "results" / "engine.json"
FLAGS_THAT_MATTER = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni",
                     "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "transformers", "peft", "tokenizers", "llama-cpp-python")

# What turns.py runs.
Side = collections.namedtuple("Side", "name program model warm_up repetitions")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    known = sorted({row.name for row in rows.ROWS} | {"gemm"})
    parser.add_argument("--only", default=",".join(known),
                        help="of " + ", ".join(known))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--skip-emulated", action="store_true",
                        help="no peer in bf16 where the processor lacks it")
    parser.add_argument("--wait-idle-seconds", type=float, default=60,
                        help="for others to be quiet before each row")
    parser.add_argument("--bin", type=pathlib.Path,
                        default=inputs.ROOT / "build" / "release" / "bin")
    parser.add_argument("--python", default=sys.executable,
                        help="with the packages of bench/requirements.txt")
    flags = parser.parse_args()
    flags.only = set(flags.only.split(","))
    if unknown := flags.only - set(known):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    flags.threads = [int(n) for n in flags.threads.split(",")]
    return flags


def cpu_fields():
    fields = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields


def machine():
    cpu = cpu_fields()
    supported = set(cpu.get("flags", "").split())
    return {"cpu": cpu.get("model name", platform.processor()),
            "family_model_stepping": [cpu.get("cpu family"), cpu.get("model"),
                                      cpu.get("stepping")],
            "flags": [f for f in FLAGS_THAT_MATTER if f in supported],
            "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE")
            * os.sysconf("SC_PHYS_PAGES")}


def commit():
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"],
                          cwd=inputs.ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def versions(python):
    script = ("import importlib.metadata as m, json\n"
              f"names = {PACKAGES!r}\n"
              "found = {d.metadata['Name'].lower().replace('_', '-'): d.version "
              "for d in m.distributions()}\n"
              "print(json.dumps({n: found[n] for n in names if n in found}))")
    packages = json.loads(subprocess.run(
        [python, "-c", script], check=True, stdout=subprocess.PIPE).stdout)
    node = json.loads((rows.NODE_PACKAGES / "package.json").read_text())
    return {**packages,
            "node-llama-cpp": node["dependencies"]["node-llama-cpp"],
            "python": platform.python_version(),
            "kernel": platform.release()}


def ours(row, flags):
    return Side("tandem", [str(flags.bin / "engine_bench"), *row.ours],
                inputs.GGUF, 1, flags.repetitions)


def peer_side(peer, flags):
    script, *rest = peer.arguments
    node = inputs.ROOT / ".venv" / "bin" / "node"
    # Without threads of V8's: one of them can keep the process from ending.
    interpreter = ([str(node), "--v8-pool-size=0"] if script.endswith(".mjs")
                   else [flags.python])
    # Some 10 times slower than fp32: a single turn shows it.
    warm_up, repetitions = ((0, 1) if peer.emulated
                            else (peer.warm_up, flags.repetitions))
    return Side(peer.name, [*interpreter, str(rows.PEERS / script), *rest],
                peer.model, warm_up, repetitions)


def ratio_of(ours, peer):
    """How many times as fast ours is, by the medians."""
    if ours["unit"] == "s":
        return peer["median"] / ours["median"]
    return ours["median"] / peer["median"]


def fastest(peers):
    sign = -1 if peers[0]["unit"] == "s" else 1
    return max(peers, key=lambda peer: sign * peer["median"])


def run_row(row, threads, flags):
    peers = [peer for peer in row.peers
             if not (peer.emulated and flags.skip_emulated)]
    sides = [ours(row, flags), *(peer_side(peer, flags) for peer in peers)]
    play = turns.whole_processes if row.whole_process else turns.take_turns
    mine, *peers = play(row, sides, threads)
    peer = fastest(peers)
    ratio = ratio_of(mine, peer)
    result = {"row": row.name, "work": row.work, "threads": threads,
              "ours": mine, "peer": peer,
              "other_peers": [p for p in peers if p is not peer],
              "ratio": ratio, "goal_ratio": row.goal,
              "holds": ratio >= row.goal}
    if row.rss_goal is not None:
        share = mine["peak_rss_bytes"] / peer["peak_rss_bytes"]
        result.update(rss_ratio=share, rss_goal=row.rss_goal,
                      rss_holds=share <= row.rss_goal)
    return {**result, "recorded": now(), "tandem": commit()}


def run_gemm(threads, flags):
    """The fastest matrix products: what bounds every row."""
    for dtype in rows.gemm_dtypes():
        row = rows.Row("gemm", "", 0, ("gemm", "--dtype", dtype), ())
        [peak] = turns.take_turns(row, [ours(row, flags)], threads)
        yield {"dtype": dtype, "threads": threads, "unit": "GFLOP/s",
               "contended": peak["contended"],
               **{k: peak[k] / 1e9 for k in ("min", "median", "max")}}


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(
        timespec="seconds")


def earlier_results(this_machine):
    """What the file has, where it is of this machine."""
    if RESULTS.is_file():
        content = json.loads(RESULTS.read_text())
        if content["machine"] == this_machine:
            return content
    return {"machine": this_machine, "gemm": [], "rows": []}


def replace(entries, new, *key):
    """`new` in place of the entry with the same key, else at the end."""
    same = [i for i, entry in enumerate(entries)
            if all(entry[k] == new[k] for k in key)]
    if same:
        entries[same[0]] = new
    else:
        entries.append(new)


def save(content):
    order = {(row.name, row.work): i for i, row in enumerate(rows.ROWS)}
    content["gemm"].sort(key=lambda peak: (peak["dtype"], peak["threads"]))
    content["rows"] = sorted(
        (r for r in content["rows"] if (r["row"], r["work"]) in order),
        key=lambda r: (order[r["row"], r["work"]], r["threads"]))
    RESULTS.parent.mkdir(exist_ok=True)
    partial = RESULTS.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.rename(RESULTS)


def main():
    flags = arguments()
    inputs.make_all()
    content = earlier_results(machine())
    content["versions"] = versions(flags.python)
    content["settings"] = {"repetitions": flags.repetitions,
                           "skip_emulated": flags.skip_emulated,
                           "model": inputs.GGUF.name,
                           "order": "ours and each peer in turn"}
    for threads in flags.threads:
        if "gemm" in flags.only:
            for peak in run_gemm(threads, flags):
                replace(content["gemm"], peak, "dtype", "threads")
                print(report.gemm_line(peak), flush=True)
        for row in rows.ROWS:
            if row.name not in flags.only or threads not in row.threads:
                continue
            turns.wait_until_idle(flags.wait_idle_seconds)
            result = run_row(row, threads, flags)
            print(report.line(result), flush=True)
            replace(content["rows"], result, "row", "work", "threads")
            save(content)
    save(content)
    print("\n" + report.markdown(content))


if __name__ == "__main__":
    main()
