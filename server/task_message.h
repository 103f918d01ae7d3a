// A stored task as the message that its client gets.
#ifndef TANDEM_SERVER_TASK_MESSAGE_H_
#define TANDEM_SERVER_TASK_MESSAGE_H_

#include "proto/config.pb.h"
#include "proto/federation.pb.h"
#include "server/state_store.h"

namespace tandem {

struct TaskObjects {
  proto::ObjectRef global_adapter;
  // Empty where clients train without a teacher.
  proto::ObjectRef auxiliary_targets;
};

// The same rows give the same message, but for the time left.
proto::Task MakeTaskMessage(const proto::ServerConfig& config,
                            const RoundRow& round, const TaskRow& task,
                            const TaskObjects& objects,
                            double deadline_seconds);

}  // namespace tandem

#endif  // TANDEM_SERVER_TASK_MESSAGE_H_
