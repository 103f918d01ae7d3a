#include "cli/stop_signal.h"

#include <chrono>
#include <csignal>

namespace tandem::cli {
namespace {

constexpr std::chrono::milliseconds kLookInterval{50};

// All that a handler may touch.
std::atomic<bool> signal_came{false};
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void NoteSignal(int) { signal_came = true; }

void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = NoteSignal;
  // The handler serves once: after it the default action is back.
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

StopRequest::StopRequest() {
  signal_came = false;
  CatchSignals();
  watcher_ = std::jthread([this](std::stop_token end) {
    while (!end.stop_requested() && !signal_came) {
      std::this_thread::sleep_for(kLookInterval);
    }
    if (signal_came) Request();
  });
}

void StopRequest::Request() {
  flag_ = true;
  source_.request_stop();
}

}  // namespace tandem::cli
