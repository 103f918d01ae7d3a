// A client's private examples: training data and a held-out part. They never
// leave the process.
#ifndef TANDEM_CLIENT_LOCAL_DATA_H_
#define TANDEM_CLIENT_LOCAL_DATA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/examples.h"
#include "proto/config.pb.h"

namespace tandem {

struct LocalData {
  std::string name = "private";     // of the held-out part, in results
  std::vector<Example> train;       // may be empty: evaluates only
  std::vector<Example> evaluation;  // may be empty: trains only
};

// Reads the files that `config` names. Errors of ReadExamples (an empty or
// malformed file), and InvalidArgument where it names no file at all.
StatusOr<LocalData> ReadLocalData(const proto::ClientDataConfig& config);

// Part `index` of `parts`, every parts-th training example from `index` on: how
// simulated clients share a file. The held-out examples stay whole.
// InvalidArgument where there are fewer training examples than parts.
// REQUIRES: 0 <= index < parts.
StatusOr<LocalData> PartOfLocalData(const LocalData& data, int64_t index,
                                    int64_t parts);

// TokenizeExample of each; those without a target left are dropped, and their
// number logged. FailedPrecondition, naming `what`, where none is left; errors
// of the chat template.
StatusOr<std::vector<TokenizedExample>> TokenizeExamples(
    const Tokenizer& tokenizer, const std::vector<Example>& examples,
    int64_t max_tokens, const std::string& what);

}  // namespace tandem

#endif  // TANDEM_CLIENT_LOCAL_DATA_H_
