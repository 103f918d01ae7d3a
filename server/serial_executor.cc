#include "server/serial_executor.h"

namespace tandem {

SerialExecutor::SerialExecutor(Clock& clock)
    : clock_(clock), thread_([this] { Loop(); }) {}

SerialExecutor::~SerialExecutor() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void SerialExecutor::Post(std::function<void()> function) {
  {
    const std::lock_guard lock(mutex_);
    ready_.push_back(std::move(function));
  }
  changed_.notify_all();
}

void SerialExecutor::PostAt(TimePoint time, std::function<void()> function) {
  {
    const std::lock_guard lock(mutex_);
    timed_.emplace(time, std::move(function));
  }
  changed_.notify_all();
}

std::function<void()> SerialExecutor::Next() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (!ready_.empty()) {
      auto function = std::move(ready_.front());
      ready_.pop_front();
      return function;
    }
    if (stopping_) return {};
    if (timed_.empty()) {
      changed_.wait(lock);
    } else if (timed_.begin()->first <= clock_.Now()) {
      auto function = std::move(timed_.begin()->second);
      timed_.erase(timed_.begin());
      return function;
    } else {
      clock_.WaitUntil(changed_, lock, timed_.begin()->first);
    }
  }
}

void SerialExecutor::Loop() {
  while (auto function = Next()) function();
}

}  // namespace tandem
