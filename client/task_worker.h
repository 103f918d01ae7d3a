// One task from its description to its report: fetch, check, train or
// evaluate, transform, upload.
#ifndef TANDEM_CLIENT_TASK_WORKER_H_
#define TANDEM_CLIENT_TASK_WORKER_H_

#include <cstdint>
#include <vector>

#include "client/local_data.h"
#include "client/local_model.h"
#include "client/local_trainer.h"
#include "client/object_cache.h"
#include "client/session.h"
#include "common/clock.h"
#include "common/status.h"
#include "proto/federation.pb.h"

namespace tandem {

class TaskWorker {
 public:
  // All of them are borrowed and outlive the worker.
  TaskWorker(const LocalModel& model, const LocalData& data, Session& session,
             ObjectCache& cache, Clock& clock)
      : model_(model),
        data_(data),
        session_(session),
        cache_(cache),
        clock_(clock) {}

  // Does the task and uploads its update; the report is left to the caller.
  // The task comes from a peer and is checked: InvalidArgument names the field
  // or tensor that is wrong. Errors of ObjectCache::Fetch, TrainLocally,
  // EvaluateLocally, UploadObject and of `on_progress`.
  StatusOr<proto::ReportRequest> Do(const proto::Task& task,
                                    const OnProgress& on_progress);

 private:
  // Examples tokenised for one sequence length, kept while it stays the same.
  struct Tokenized {
    int64_t max_tokens = 0;
    std::vector<TokenizedExample> examples;
  };

  StatusOr<proto::ReportRequest> Train(const proto::Task& task,
                                       const Adapter& global,
                                       const OnProgress& on_progress);
  StatusOr<proto::ReportRequest> Evaluate(const proto::Task& task,
                                          const Adapter& global,
                                          const OnProgress& on_progress);
  StatusOr<std::filesystem::path> Fetch(const proto::ObjectRef& object);
  StatusOr<Adapter> FetchGlobalAdapter(const proto::Task& task);
  StatusOr<proto::ObjectRef> Upload(const TensorMap& update);
  Status Tokenize(const std::vector<Example>& examples, int64_t max_tokens,
                  const std::string& what, Tokenized& tokenized) const;

  const LocalModel& model_;
  const LocalData& data_;
  Session& session_;
  ObjectCache& cache_;
  Clock& clock_;
  Tokenized train_, evaluation_;
};

}  // namespace tandem

#endif  // TANDEM_CLIENT_TASK_WORKER_H_
