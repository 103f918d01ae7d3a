// The ServerModel of a real run: student, teacher and data on this machine.
#ifndef TANDEM_SERVER_LOCAL_SERVER_MODEL_H_
#define TANDEM_SERVER_LOCAL_SERVER_MODEL_H_

#include <memory>

#include "common/status.h"
#include "proto/config.pb.h"
#include "server/server_model.h"

namespace tandem {

// Loads the student and the data. Of the auxiliary examples, a sample drawn by
// the run's seed is kept, no larger than the run will use: a part for the
// initial distillation, one for each round's, one for clients; they overlap
// only where the file is too small. The teacher is read when its targets are
// first needed and let go of once they are made, all at once; its tokenizer
// must be the student's (FailedPrecondition). InvalidArgument names the
// max_sequence_tokens that is above the student's context length. Errors of
// LoadCheckpoint, Decoder::Create, ReadExamples and the options' ranges.
StatusOr<std::unique_ptr<ServerModel>> LoadServerModel(
    const proto::ServerConfig& config);

}  // namespace tandem

#endif  // TANDEM_SERVER_LOCAL_SERVER_MODEL_H_
