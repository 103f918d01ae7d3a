#include "server/session_table.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace tandem {
namespace {

constexpr size_t kMaxClientIdSize = 64;
constexpr size_t kTokenBytes = 16;

bool IsClientIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '-' || c == '_';
}

StatusOr<std::string> NewToken() {
  std::array<unsigned char, kTokenBytes> bytes;
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) {
    return Internal("the system has no randomness for a session");
  }
  std::string token;
  for (const unsigned char byte : bytes) token += fmt::format("{:02x}", byte);
  return token;
}

}  // namespace

Status CheckClientId(const std::string& client_id) {
  if (client_id.empty() || client_id.size() > kMaxClientIdSize ||
      !std::all_of(client_id.begin(), client_id.end(), IsClientIdCharacter)) {
    return InvalidArgument(
        "client_id must be 1 to {} letters, digits, '-' and '_'",
        kMaxClientIdSize);
  }
  return OkStatus();
}

StatusOr<std::string> SessionTable::Open(const std::string& client_id,
                                         bool can_evaluate, TimePoint now) {
  TANDEM_ASSIGN_OR_RETURN(const std::string token, NewToken());
  const std::lock_guard lock(mutex_);
  const auto known = clients_.find(client_id);
  if (known != clients_.end()) {
    client_of_session_.erase(known->second.session);
    clients_.erase(known);
  }
  if (static_cast<int64_t>(clients_.size()) >= max_clients_) ForgetAbsent(now);
  if (static_cast<int64_t>(clients_.size()) >= max_clients_) {
    return ResourceExhausted(
        "client '{}' cannot join: the run has {} clients already "
        "(limits.max_clients)",
        client_id, clients_.size());
  }
  clients_[client_id] = {token, can_evaluate, false, now};
  client_of_session_[token] = client_id;
  return token;
}

StatusOr<std::string> SessionTable::Touch(const std::string& session,
                                          TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto found = client_of_session_.find(session);
  if (found == client_of_session_.end()) {
    return Status(StatusCode::kUnauthenticated,
                  "unknown session: join (again)");
  }
  clients_[found->second].last_heard = now;
  return found->second;
}

void SessionTable::SetHeld(const std::string& client_id, bool held,
                           TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto found = clients_.find(client_id);
  if (found == clients_.end()) return;
  found->second.held = held;
  found->second.last_heard = now;
}

std::vector<PresentClient> SessionTable::Present(TimePoint now) const {
  const std::lock_guard lock(mutex_);
  std::vector<PresentClient> present;
  for (const auto& [client_id, client] : clients_) {
    if (IsPresent(client, now)) {
      present.push_back({client_id, client.can_evaluate});
    }
  }
  return present;
}

std::optional<TimePoint> SessionTable::SilentAt(const std::string& client_id,
                                                TimePoint now) const {
  const std::lock_guard lock(mutex_);
  const auto found = clients_.find(client_id);
  if (found == clients_.end()) return now;
  if (found->second.held) return std::nullopt;
  return found->second.last_heard + timeout_;
}

void SessionTable::ForgetAbsent(TimePoint now) {
  std::erase_if(clients_, [&](const auto& entry) {
    if (IsPresent(entry.second, now)) return false;
    client_of_session_.erase(entry.second.session);
    return true;
  });
}

}  // namespace tandem
