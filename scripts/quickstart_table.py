"""The quickstart's result table, from the state of its two runs.

usage: quickstart_table.py TANDEM RUNS_FOLDER HELD_OUT
"""

import json
import pathlib
import subprocess
import sys

DOMAINS = ("jargon", "foldoc", "wn")
MEBIBYTE = 1024 * 1024


def show(tandem, run):
    """`tandem run show --json` of a run."""
    return json.loads(subprocess.run(
        [tandem, "run", "show", "--state", run, "--json"],
        check=True, stdout=subprocess.PIPE).stdout)


def last_evaluation(report):
    """{domain: evaluation} of the last round that was evaluated."""
    for round_ in reversed(report["rounds"]):
        if round_["evaluations"]:
            return {e["name"]: e for e in round_["evaluations"]}
    sys.exit(f"tandem: no round of {report['directory']} was evaluated")


def stored_evaluation(runs, name, held_out):
    return {domain: json.loads(
        (runs / "eval" / f"{name}-{domain}-{held_out}.json").read_text())
        for domain in DOMAINS}


def print_quality(rows):
    print(f"{'':34}" + "".join(f"{d:>18}" for d in DOMAINS))
    print(f"{'held-out data':34}" + "   bits/byte  ppl".rjust(18) * 3)
    for name, evaluation in rows:
        cells = ""
        for domain in DOMAINS:
            e = evaluation.get(domain)
            cells += (f"{e['bits_per_byte']:11.3f} {e['perplexity']:6.1f}"
                      if e else f"{'-':>18}")
        print(f"{name:34}{cells}")


def print_processes(name, report):
    print(f"\n{name}: {report['state']}, "
          f"{report['rounds_committed']} rounds")
    print(f"  {'process':12}{'seconds':>9}{'peak MiB':>10}{'tokens':>9}"
          f"{'MiB down':>10}{'MiB up':>9}")
    print(f"  {'server':12}{report['server_seconds']:9.1f}"
          f"{report['server_peak_rss_bytes'] / MEBIBYTE:10.0f}")
    for client in report["clients"]:
        print(f"  {client['client_id']:12}{client['train_seconds']:9.1f}"
              f"{client['peak_rss_bytes'] / MEBIBYTE:10.0f}"
              f"{client['tokens_trained']:9}"
              f"{client['bytes_downloaded'] / MEBIBYTE:10.1f}"
              f"{client['bytes_uploaded'] / MEBIBYTE:9.1f}")


def main(tandem, runs, held_out):
    runs = pathlib.Path(runs)
    federation, full = (show(tandem, runs / name)
                        for name in ("federation", "full"))
    print()
    print_quality([
        ("student before", stored_evaluation(runs, "student", held_out)),
        ("federation without distillation", last_evaluation(federation)),
        ("full run", last_evaluation(full)),
        ("teacher", stored_evaluation(runs, "teacher", held_out))])
    print_processes("federation without distillation", federation)
    print_processes("full run", full)
    if full["privacy"]:
        print(f"\nprivacy: {full['privacy']['sentence']}")
    print("\n(seconds: the server's from start to end, the clients' of "
          "training)\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
