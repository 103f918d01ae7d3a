// SIGINT and SIGTERM as a request to stop in good order.
#ifndef TANDEM_CLI_STOP_SIGNAL_H_
#define TANDEM_CLI_STOP_SIGNAL_H_

#include <atomic>
#include <stop_token>
#include <thread>

namespace tandem::cli {

// While it lives, the first SIGINT or SIGTERM is a request, seen within a tenth
// of a second; a second one ends the process at once. One at a time.
class StopRequest {
 public:
  StopRequest();
  // Requests a stop, as a signal would.
  void Request();
  const std::atomic<bool>& flag() const { return flag_; }
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::atomic<bool> flag_{false};
  std::stop_source source_;
  std::jthread watcher_;  // the last member: it uses the others
};

}  // namespace tandem::cli

#endif  // TANDEM_CLI_STOP_SIGNAL_H_
