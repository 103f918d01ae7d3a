// One thread that runs functions one after another, at once or at a time of the
// injected clock.
#ifndef TANDEM_SERVER_SERIAL_EXECUTOR_H_
#define TANDEM_SERVER_SERIAL_EXECUTOR_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

#include "common/clock.h"

namespace tandem {

// Thread-safe. Functions must not throw.
class SerialExecutor {
 public:
  // REQUIRES: clock outlives the executor.
  explicit SerialExecutor(Clock& clock);
  // Runs everything that was posted (and what that posts in turn), drops what
  // waits for its time, and joins.
  ~SerialExecutor();

  // Functions posted by one thread run in the order of their posting.
  void Post(std::function<void()> function);
  // Runs it when the clock has reached `time`, after what was posted before;
  // functions of equal time in the order of their posting.
  void PostAt(TimePoint time, std::function<void()> function);

  // Posts `function`, waits, and returns its result; called on the executor's
  // own thread it just runs it.
  template <typename Function>
  std::invoke_result_t<Function> Call(Function&& function) {
    if (std::this_thread::get_id() == thread_.get_id()) return function();
    std::packaged_task<std::invoke_result_t<Function>()> task(
        std::forward<Function>(function));
    auto result = task.get_future();
    Post([&task] { task(); });
    return result.get();
  }

 private:
  void Loop();
  // The next function that may run, after waiting for it; empty at the end.
  std::function<void()> Next();

  Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<std::function<void()>> ready_;
  std::multimap<TimePoint, std::function<void()>> timed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_SERIAL_EXECUTOR_H_
