#include "bench/engine/repetitions.h"

#include <chrono>
#include <iostream>
#include <vector>

#include "common/peak_memory.h"

namespace tandem::bench {
namespace {

bool AwaitTurn() {
  std::string line;
  return static_cast<bool>(std::getline(std::cin, line));
}

void Say(const std::string& line) { std::cout << line << std::endl; }

}  // namespace

double SecondsOf(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

void Repeat(const RepetitionFlags& flags, const std::string& unit,
            const nlohmann::json& settings,
            const std::function<Measurement()>& work) {
  for (int i = 0; i < flags.warm_up; ++i) work();
  if (flags.take_turns) Say("ready");
  std::vector<double> units, seconds;
  for (int i = 0; i < flags.repetitions; ++i) {
    if (flags.take_turns && !AwaitTurn()) break;
    const Measurement measured = work();
    units.push_back(measured.units);
    seconds.push_back(measured.seconds);
    if (flags.take_turns) Say("done");
  }
  Say(nlohmann::json{{"unit", unit},
                     {"units", units},
                     {"seconds", seconds},
                     {"peak_rss_bytes", PeakRssBytes()},
                     {"settings", settings}}
          .dump());
}

}  // namespace tandem::bench
