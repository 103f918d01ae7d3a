// A federation client inside an application of yours: it trains in the
// background, tells the application how it gets on, and stops when told to.
//
//   example_embedded_client SERVER MODEL TRAIN.jsonl [CLIENT_ID]
//
// SERVER is HOST:PORT of a `tandem server`, MODEL the server's base model (a
// GGUF file or a Hugging Face folder), TRAIN.jsonl the private text, which
// never leaves this process. The application here reads lines: an empty one, or
// the end of input, stops the client.
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>

#include "client/client_runner.h"
#include "common/status.h"
#include "proto/config.pb.h"

namespace {

// What the application shows of the client. The methods run on the client's
// thread, so they only hand over.
class StatusLine : public tandem::ClientObserver {
 public:
  void OnJoined(const tandem::proto::JoinResponse& terms) override {
    std::printf("joined run %s\n", terms.run_id().c_str());
  }
  void OnTask(const tandem::proto::Task& task) override {
    std::printf(
        "round %d: %s\n", task.round(),
        task.kind() == tandem::proto::TRAIN ? "training" : "evaluating");
  }
  void OnProgress(const tandem::proto::Task&,
                  const tandem::Progress& progress) override {
    std::printf("  %ld of %ld, loss %.3f\n", progress.done, progress.total,
                progress.loss);
  }
  void OnOutcome(const tandem::proto::Task& task,
                 const tandem::proto::ReportRequest&,
                 const tandem::proto::ReportResponse& response) override {
    std::printf("round %d: %s\n", task.round(),
                tandem::proto::TaskOutcome_Name(response.outcome()).c_str());
  }
};

tandem::proto::ClientConfig ConfigFor(int argc, char** argv) {
  tandem::proto::ClientConfig config;
  config.set_server(argv[1]);
  config.set_model(argv[2]);
  config.mutable_data()->set_train(argv[3]);
  config.set_client_id(argc == 5 ? argv[4] : "embedded");
  config.set_threads(1);  // the rest of the machine is the application's
  return config;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    std::fprintf(stderr, "usage: %s SERVER MODEL TRAIN.jsonl [CLIENT_ID]\n",
                 argv[0]);
    return 2;
  }
  std::atomic<bool> failed = false;
  StatusLine status_line;
  // A jthread brings its own stop token; RunClient ends soon after a request,
  // also in the middle of a long poll or of training.
  std::jthread client([&](std::stop_token stop) {
    const auto summary =
        tandem::RunClient(ConfigFor(argc, argv), &status_line, stop);
    if (summary.ok()) {
      std::printf("%s after %ld tasks, %.0f s, peak %.0f MiB; press enter\n",
                  summary->run_state.c_str(), summary->tasks_reported,
                  summary->seconds,
                  static_cast<double>(summary->peak_rss_bytes) / (1 << 20));
    } else {
      spdlog::error("{}; press enter", tandem::ToString(summary.status()));
      failed = true;
    }
  });

  // The application's own work goes here.
  for (std::string line; std::getline(std::cin, line) && !line.empty();) {
  }
  client.request_stop();
  client.join();
  return failed ? 1 : 0;
}
