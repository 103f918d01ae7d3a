// A ServerModel of two small tensors that counts what it is asked for.
#ifndef TANDEM_TESTS_TESTING_FAKE_SERVER_MODEL_H_
#define TANDEM_TESTS_TESTING_FAKE_SERVER_MODEL_H_

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/files.h"
#include "model/aten.h"
#include "server/server_model.h"

namespace tandem::testing {

inline const char kFakeA[] = "base_model.model.layer.lora_A.weight";
inline const char kFakeB[] = "base_model.model.layer.lora_B.weight";

// Every element of both factors has this value.
inline TensorMap FakeAdapter(double value) {
  return {{kFakeA, at::full({2, 3}, value, at::kFloat)},
          {kFakeB, at::full({4, 2}, value, at::kFloat)}};
}

class FakeServerModel : public ServerModel {
 public:
  struct Calls {
    std::atomic<int> initial{0}, distil{0}, evaluate{0}, targets{0};
  };

  std::string base_model_digest() const override { return digest; }
  StatusOr<TensorMap> InitialAdapter(const Progress& progress) override {
    ++calls.initial;
    if (!progress(1, 1)) return Cancelled("stopped");
    return FakeAdapter(0.5);
  }
  bool DistilsRounds() const override { return distils_rounds; }
  // Adds 1 to B.
  StatusOr<TensorMap> Distil(const TensorMap& adapter, int64_t,
                             const Progress& progress) override {
    ++calls.distil;
    if (on_distil) on_distil();
    if (!progress(1, 1)) return Cancelled("stopped");
    TensorMap distilled = adapter;
    distilled[kFakeB] = adapter.at(kFakeB) + 1;
    return distilled;
  }
  // The loss is the sum of B's elements.
  StatusOr<std::vector<NamedEvaluation>> EvaluateAdapter(
      const TensorMap& adapter, const Progress& progress) override {
    ++calls.evaluate;
    progress(1, 1);
    const double loss = adapter.at(kFakeB).sum().item<double>();
    return std::vector<NamedEvaluation>{{"held-out", {loss, 10, 40, 2}}};
  }
  Status WriteClientTargets(const std::filesystem::path& file,
                            const Progress&) override {
    ++calls.targets;
    return WriteFileAtomically(file, "teacher targets");
  }

  std::string digest = Sha256Hex("base model");
  bool distils_rounds = false;
  std::function<void()> on_distil;
  Calls calls;
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_FAKE_SERVER_MODEL_H_
