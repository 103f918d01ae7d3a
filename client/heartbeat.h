// Tells the server, beside a task, that the client still works on it.
#ifndef TANDEM_CLIENT_HEARTBEAT_H_
#define TANDEM_CLIENT_HEARTBEAT_H_

#include <atomic>
#include <string>
#include <thread>

#include "client/session.h"
#include "common/clock.h"

namespace tandem {

// A thread from construction to destruction, which waits for at most one call
// under way. A heartbeat that fails is logged and followed by the next.
class Heartbeat {
 public:
  // REQUIRES: session and clock outlive the heartbeat.
  Heartbeat(Session& session, std::string task_id, double interval_seconds,
            Clock& clock);
  ~Heartbeat();
  // The server said that the task no longer counts.
  bool task_cancelled() const { return task_cancelled_; }

 private:
  void Run(std::stop_token stop);
  void Beat();

  Session& session_;
  const std::string task_id_;
  const Duration interval_;
  Clock& clock_;
  std::atomic<bool> task_cancelled_ = false;
  std::jthread thread_;  // last: it uses all the others
};

}  // namespace tandem

#endif  // TANDEM_CLIENT_HEARTBEAT_H_
