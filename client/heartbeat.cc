#include "client/heartbeat.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "client/retry.h"

namespace tandem {
namespace {

// The interval comes from the server (Session has checked it): never a busy
// loop.
constexpr double kMinIntervalSeconds = 0.001;

}  // namespace

Heartbeat::Heartbeat(Session& session, std::string task_id,
                     double interval_seconds, Clock& clock)
    : session_(session),
      task_id_(std::move(task_id)),
      interval_(Seconds(std::max(interval_seconds, kMinIntervalSeconds))),
      clock_(clock),
      thread_([this](std::stop_token stop) { Run(std::move(stop)); }) {}

Heartbeat::~Heartbeat() = default;  // jthread stops and joins

void Heartbeat::Run(std::stop_token stop) {
  ClockSleeper sleeper(clock_, std::move(stop));
  while (!task_cancelled_ && sleeper.Sleep(interval_).ok()) Beat();
}

void Heartbeat::Beat() {
  const auto response = session_.Heartbeat(task_id_);
  if (!response.ok()) {
    spdlog::debug("heartbeat for task {}: {}", task_id_,
                  ToString(response.status()));
    return;
  }
  if (response->task_cancelled()) task_cancelled_ = true;
}

}  // namespace tandem
