"""Runs one row: our process and its peers take turns, repetition by repetition.

All have loaded and warmed up before the first turn, so that whatever the machine
does in the meantime befalls all of them alike.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import psutil

import inputs

# Cores that others may use before a measurement counts as contended.
CONTENDED_CORES = 0.15
# Processor times are counted in ticks of 10 ms: what a short turn may be off.
TICK_SECONDS = 0.02


def machine_busy():
    """CPU seconds of the whole machine so far, stolen ones included."""
    times = psutil.cpu_times()
    return sum(times[:9]) - times.idle - times.iowait - times.guest


def cpu_seconds(processes):
    total = 0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        # Of the children that have ended, too.
        total += (times.user + times.system + times.children_user
                  + times.children_system)
    return total


def family():
    """This process and all that it started."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


class Contention:
    """with Contention() as c: ...; c.cores others took in the meantime."""

    def __enter__(self):
        self._start = time.perf_counter()
        self._busy = machine_busy() - cpu_seconds(family())
        return self

    def __exit__(self, *unused):
        elapsed = time.perf_counter() - self._start
        others = machine_busy() - cpu_seconds(family()) - self._busy
        self.cores = max(0.0, others - TICK_SECONDS) / elapsed


def wait_until_idle(seconds):
    """Waits for others to be quiet, at most so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with Contention() as c:
            time.sleep(2)
        if c.cores < CONTENDED_CORES:
            return


def command(side, row, threads, turns):
    cpus = ",".join(str(cpu) for cpu in
                    sorted(os.sched_getaffinity(0))[:threads])
    flags = ["--threads", str(threads), "--warm-up", str(side.warm_up),
             "--repetitions", str(side.repetitions)]
    flags += ["--model", str(side.model)]
    if row.input:
        flags += ["--input", str(inputs.FOLDER / row.input)]
    if turns:
        flags.append("--take-turns")
    return ["taskset", "-c", cpus, *side.program, *flags]


class Player:
    """One side of a row, see run.Side."""

    def __init__(self, side, row, threads):
        self.side = side
        self.contended = False
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            command(side, row, threads, turns=True),
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=inputs.ROOT)
        self._await("ready")

    def _line(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"bench: {self.side.name} ended with exit code "
                     f"{self._process.wait()}: {self.side.program}")
        return line.strip()

    def _await(self, word):
        while self._line() != word:
            pass  # libraries print too

    def take_turn(self):
        with Contention() as c:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            self._await("done")
        self.contended |= c.cores > CONTENDED_CORES

    def result(self):
        line = self._line()
        while not line.startswith("{"):
            line = self._line()
        self._process.stdin.close()
        self._process.wait()
        return json.loads(line)


def summary(values, unit, side, contended, peak_rss_bytes):
    return {"name": side.name, "min": min(values),
            "median": statistics.median(values), "max": max(values),
            "unit": unit, "peak_rss_bytes": peak_rss_bytes,
            "contended": contended, "values": values}


def take_turns(row, sides, threads):
    """A summary for each side."""
    players = [Player(side, row, threads) for side in sides]
    for turn in range(max(side.repetitions for side in sides)):
        for player in players:
            if turn < player.side.repetitions:
                player.take_turn()
    summaries = []
    for player in players:
        result = player.result()
        rates = [u / s for u, s in zip(result["units"], result["seconds"])]
        values, unit = rates, result["unit"] + "/s"
        if result["unit"] == "loads":
            values, unit = result["seconds"], "s"
        summaries.append(summary(values, unit, player.side, player.contended,
                                 result["peak_rss_bytes"]))
    return summaries


def whole_processes(row, sides, threads):
    """The same, each repetition a process of its own, timed from outside."""
    seconds = {side.name: [] for side in sides}
    contended = dict.fromkeys(seconds, False)
    peaks = {}
    sides = [side._replace(warm_up=0) for side in sides]
    for turn in range(max(side.repetitions for side in sides) + 1):
        for side in sides:
            words = command(side._replace(repetitions=1), row, threads,
                            turns=False)
            with Contention() as c:
                start = time.perf_counter()
                done = subprocess.run(words, stdout=subprocess.PIPE, text=True,
                                      check=True, cwd=inputs.ROOT)
                took = time.perf_counter() - start
            if turn == 0:
                continue  # the files are in the page cache now
            seconds[side.name].append(took)
            contended[side.name] |= c.cores > CONTENDED_CORES
            peaks[side.name] = json.loads(
                done.stdout.splitlines()[-1])["peak_rss_bytes"]
    return [summary(seconds[side.name], "s", side, contended[side.name],
                    peaks[side.name]) for side in sides]
