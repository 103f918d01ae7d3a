// What a run of tiny models reads, in a folder of the test's own: model/ (a
// Hugging Face folder) and a.jsonl, b.jsonl and aux.jsonl, six examples each.
#ifndef TANDEM_TESTS_TESTING_TINY_RUN_FILES_H_
#define TANDEM_TESTS_TESTING_TINY_RUN_FILES_H_

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "model/aten.h"
#include "model/checkpoint.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem::testing {

class TinyRunFiles {
 public:
  TinyRunFiles() : checkpoint_(TinyCheckpoint()) {
    EXPECT_THAT(SaveHuggingFace(checkpoint_, at::kFloat, path("model")),
                IsOk());
    WriteExamples("a.jsonl", "first");
    WriteExamples("b.jsonl", "second");
    WriteExamples("aux.jsonl", "third");
  }

  const Checkpoint& checkpoint() const { return checkpoint_; }
  std::string folder() const { return folder_.path(); }
  std::string path(const std::string& name) const { return folder_ / name; }

 private:
  void WriteExamples(const std::string& name, const std::string& word) {
    std::ofstream lines(path(name));
    for (int i = 0; i < 6; ++i) {
      lines << R"({"prompt": ")" << i << R"(", "completion": ")" << word
            << R"( word"})" << '\n';
    }
  }

  const TempFolder folder_;
  const Checkpoint checkpoint_;
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_TINY_RUN_FILES_H_
