// Who is connected: sessions by unguessable token, and when each was last heard
// of.
#ifndef TANDEM_SERVER_SESSION_TABLE_H_
#define TANDEM_SERVER_SESSION_TABLE_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"

namespace tandem {

// 1 to 64 letters, digits, '-' and '_'. InvalidArgument for anything else.
Status CheckClientId(const std::string& client_id);

struct PresentClient {
  std::string client_id;
  bool can_evaluate = false;
};

// Thread-safe. A client has at most one session; it is present until it was
// silent for `timeout`, and while a call of it is held open.
class SessionTable {
 public:
  SessionTable(int64_t max_clients, Duration timeout)
      : max_clients_(max_clients), timeout_(timeout) {}

  // A new session; an older one of the same client ends. ResourceExhausted
  // where max_clients others are present.
  StatusOr<std::string> Open(const std::string& client_id, bool can_evaluate,
                             TimePoint now);
  // The client of a session, heard of now. Unauthenticated where there is no
  // such session.
  StatusOr<std::string> Touch(const std::string& session, TimePoint now);
  // A call of the client is held open from now on, or no longer.
  void SetHeld(const std::string& client_id, bool held, TimePoint now);

  // By client_id.
  std::vector<PresentClient> Present(TimePoint now) const;
  // When the client will count as silent unless it is heard of again; `now`
  // and earlier: it does already. Nullopt while a call is held.
  std::optional<TimePoint> SilentAt(const std::string& client_id,
                                    TimePoint now) const;

 private:
  struct Client {
    std::string session;
    bool can_evaluate = false;
    bool held = false;
    TimePoint last_heard;
  };
  bool IsPresent(const Client& client, TimePoint now) const {
    return client.held || now - client.last_heard < timeout_;
  }
  // Forgets absent clients, so that the table does not grow with churn.
  void ForgetAbsent(TimePoint now);

  const int64_t max_clients_;
  const Duration timeout_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, Client> clients_;
  std::map<std::string, std::string> client_of_session_;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_SESSION_TABLE_H_
