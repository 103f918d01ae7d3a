// What a client did, in numbers, and while it does it.
#ifndef TANDEM_CLIENT_CLIENT_OBSERVER_H_
#define TANDEM_CLIENT_CLIENT_OBSERVER_H_

#include <cstdint>
#include <string>

#include "client/local_trainer.h"
#include "proto/federation.pb.h"

namespace tandem {

struct ClientSummary {
  std::string client_id;
  std::string run_id;
  // The state in which the run ended, as the server named it; "STOPPED" where
  // this client was stopped before.
  std::string run_state;
  int64_t tasks_reported = 0;
  int64_t tasks_accepted = 0;
  int64_t trained_tokens = 0;
  // All messages, not objects alone.
  int64_t bytes_downloaded = 0;
  int64_t bytes_uploaded = 0;
  double seconds = 0;          // from Join to the end
  int64_t peak_rss_bytes = 0;  // of the process
};

// Called on the thread that runs the client; slow methods hold it up.
class ClientObserver {
 public:
  virtual ~ClientObserver() = default;
  virtual void OnJoined(const proto::JoinResponse&) {}
  virtual void OnTask(const proto::Task&) {}
  virtual void OnProgress(const proto::Task&, const Progress&) {}
  // After every report that the server has answered.
  virtual void OnOutcome(const proto::Task&, const proto::ReportRequest&,
                         const proto::ReportResponse&) {}
};

}  // namespace tandem

#endif  // TANDEM_CLIENT_CLIENT_OBSERVER_H_
