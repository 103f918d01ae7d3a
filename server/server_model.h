// All that a run asks of a language model, so that coordination can be tested
// without one.
#ifndef TANDEM_SERVER_SERVER_MODEL_H_
#define TANDEM_SERVER_SERVER_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/evaluation.h"
#include "model/tensor_map.h"

namespace tandem {

struct NamedEvaluation {
  std::string name;
  EvaluationResult result;
};

// Everything but base_model_digest is long work, called from one thread at a
// time. Adapters are TensorMaps with PEFT's names, fp32. Equal arguments give
// equal results. Errors: those of the model's files and data; Internal for what
// numeric code threw.
class ServerModel {
 public:
  // Told now and then how far the work is; returning false ends it with
  // Cancelled. Never empty.
  using Progress = std::function<bool(int64_t done, int64_t total)>;

  virtual ~ServerModel() = default;
  // Clients must hold a base model of this digest.
  virtual std::string base_model_digest() const = 0;
  // The first global adapter: fresh, then distilled from the teacher where the
  // configuration says so.
  virtual StatusOr<TensorMap> InitialAdapter(const Progress& progress) = 0;
  // Whether Distil follows every aggregation.
  virtual bool DistilsRounds() const = 0;
  virtual StatusOr<TensorMap> Distil(const TensorMap& adapter, int64_t round,
                                     const Progress& progress) = 0;
  // On the server's held-out data; empty where it has none.
  virtual StatusOr<std::vector<NamedEvaluation>> EvaluateAdapter(
      const TensorMap& adapter, const Progress& progress) = 0;
  // Writes the teacher's targets that clients train on.
  virtual Status WriteClientTargets(const std::filesystem::path& file,
                                    const Progress& progress) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_SERVER_MODEL_H_
