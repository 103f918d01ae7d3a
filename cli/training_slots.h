// How many clients of a simulation work at the same time.
#ifndef TANDEM_CLI_TRAINING_SLOTS_H_
#define TANDEM_CLI_TRAINING_SLOTS_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>

#include "client/connection.h"

namespace tandem::cli {

// Thread-safe.
class TrainingSlots {
 public:
  explicit TrainingSlots(int64_t slots) : free_(slots) {}
  // False where a stop was requested before one was free.
  bool Acquire(std::stop_token stop);
  void Release();

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int64_t free_;
};

// The same connection, but a task is handed on only once there is a slot for
// it, and keeps that until the next one is asked for. Meanwhile no heartbeat is
// sent: the server's client_timeout_seconds must allow for it. REQUIRES:
// `slots` outlives the connection.
std::unique_ptr<Connection> LimitTasks(std::unique_ptr<Connection> connection,
                                       TrainingSlots& slots);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_TRAINING_SLOTS_H_
