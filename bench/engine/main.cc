// engine_bench ROW: our side of one row of bench/engine; run.py runs it beside
// a peer. Prints one line of JSON, see repetitions.h.
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <map>

#include "bench/engine/workload.h"

namespace tandem::bench {
namespace {

const std::map<std::string, Status (*)(const BenchFlags&)> kRows = {
    {"train", BenchTraining},  {"distil", BenchDistillation},
    {"capture", BenchCapture}, {"decode", BenchDecoding},
    {"prompt", BenchPrompt},   {"tokenize", BenchTokenizer},
    {"load", BenchLoading},    {"gemm", BenchGemm},
    {"choose", BenchChoices},
};

void AddFlags(CLI::App& app, BenchFlags& flags) {
  app.add_option("--model", flags.model, "GGUF file or Hugging Face folder");
  app.add_option("--input", flags.input, "Written by inputs.py");
  app.add_option("--dtype", flags.dtype, "Of the weights");
  app.add_option("--targets", flags.targets, "Adapted layers")
      ->check(CLI::IsMember({"all", "qv"}));
  app.add_option("--threads", flags.threads)->check(CLI::Range(1, 1024));
  app.add_option("--items", flags.items, "Of a task; 0 takes all");
  app.add_option("--warm-up", flags.repetitions.warm_up);
  app.add_option("--repetitions", flags.repetitions.repetitions);
  app.add_flag("--take-turns", flags.repetitions.take_turns);
}

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  using namespace tandem::bench;
  CLI::App app("Our side of the engine's benchmark");
  BenchFlags flags;
  std::string row;
  app.add_option("row", row)->required()->check(CLI::IsMember(kRows));
  AddFlags(app, flags);
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(flags.threads);
  const tandem::Status status =
      tandem::CatchExceptions(row, [&] { return kRows.at(row)(flags); });
  if (!status.ok()) std::cerr << "engine_bench: " << status.message() << '\n';
  return status.ok() ? 0 : 1;
}
