// One piece of work done several times over and timed, for run.py to hold
// against a peer.
#ifndef TANDEM_BENCH_ENGINE_REPETITIONS_H_
#define TANDEM_BENCH_ENGINE_REPETITIONS_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace tandem::bench {

struct RepetitionFlags {
  int warm_up = 1;  // untimed
  int repetitions = 3;
  // Before each timed repetition a line on standard input is awaited, and after
  // it "done" is printed; "ready" after the warm-up. So two processes take
  // turns.
  bool take_turns = false;
};

struct Measurement {
  double units = 0;  // tokens, items, bytes, ...
  double seconds = 0;
};

// The seconds that `work` takes.
double SecondsOf(const std::function<void()>& work);

// Runs `work`, then prints one line of JSON: {"unit", "units": [...],
// "seconds": [...], "peak_rss_bytes", "settings"}. Ends early, after what is
// done, where standard input ends.
void Repeat(const RepetitionFlags& flags, const std::string& unit,
            const nlohmann::json& settings,
            const std::function<Measurement()>& work);

}  // namespace tandem::bench

#endif  // TANDEM_BENCH_ENGINE_REPETITIONS_H_
