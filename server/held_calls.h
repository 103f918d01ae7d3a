// Long-polling NextTask calls that wait for an answer, one for each client.
#ifndef TANDEM_SERVER_HELD_CALLS_H_
#define TANDEM_SERVER_HELD_CALLS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/status.h"
#include "proto/federation.pb.h"

namespace tandem {

// The answers that carry no task.
proto::NextTaskResponse AskAgain(double after_seconds);
proto::NextTaskResponse RunFinished(const std::string& state);

// Single-threaded. Each call is answered exactly once.
class HeldCalls {
 public:
  using Done = std::function<void(StatusOr<proto::NextTaskResponse>)>;

  // Holds the call; an older one of the same client is told to ask again.
  // Returns a number that no other call has.
  int64_t Hold(const std::string& client_id, Done done);
  bool Holds(const std::string& client_id) const {
    return calls_.contains(client_id);
  }
  // Without effect where the client has no call held.
  void Answer(const std::string& client_id,
              const StatusOr<proto::NextTaskResponse>& answer);
  // The same for the call of this number alone; true where it was held.
  bool AnswerCall(const std::string& client_id, int64_t number,
                  const StatusOr<proto::NextTaskResponse>& answer);
  void AnswerAll(const StatusOr<proto::NextTaskResponse>& answer);
  std::vector<std::string> Clients() const;

 private:
  struct Call {
    int64_t number;
    Done done;
  };
  std::map<std::string, Call> calls_;
  int64_t last_number_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_HELD_CALLS_H_
