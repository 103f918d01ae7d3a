#include "server/held_calls.h"

#include <utility>

namespace tandem {

proto::NextTaskResponse AskAgain(double after_seconds) {
  proto::NextTaskResponse response;
  response.set_retry_after_seconds(after_seconds);
  return response;
}

proto::NextTaskResponse RunFinished(const std::string& state) {
  proto::NextTaskResponse response;
  response.set_run_finished(state);
  return response;
}

int64_t HeldCalls::Hold(const std::string& client_id, Done done) {
  Answer(client_id, AskAgain(0));
  calls_[client_id] = {++last_number_, std::move(done)};
  return last_number_;
}

void HeldCalls::Answer(const std::string& client_id,
                       const StatusOr<proto::NextTaskResponse>& answer) {
  const auto node = calls_.extract(client_id);
  if (!node.empty()) node.mapped().done(answer);
}

bool HeldCalls::AnswerCall(const std::string& client_id, int64_t number,
                           const StatusOr<proto::NextTaskResponse>& answer) {
  const auto found = calls_.find(client_id);
  if (found == calls_.end() || found->second.number != number) return false;
  Answer(client_id, answer);
  return true;
}

void HeldCalls::AnswerAll(const StatusOr<proto::NextTaskResponse>& answer) {
  for (const std::string& client : Clients()) Answer(client, answer);
}

std::vector<std::string> HeldCalls::Clients() const {
  std::vector<std::string> clients;
  clients.reserve(calls_.size());
  for (const auto& [client, call] : calls_) clients.push_back(client);
  return clients;
}

}  // namespace tandem
