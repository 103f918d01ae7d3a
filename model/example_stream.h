// The examples of a JSONL file, shuffled, tokenised and endlessly, in memory
// that does not grow with the file.
#ifndef TANDEM_MODEL_EXAMPLE_STREAM_H_
#define TANDEM_MODEL_EXAMPLE_STREAM_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/status.h"
#include "model/examples.h"
#include "model/shuffled_lines.h"
#include "model/tokenizer.h"

namespace tandem {

// What a line that is no example does.
enum class OnMalformed { kFail, kSkip };
// "fail" or "skip"; InvalidArgument lists them.
StatusOr<OnMalformed> ParseOnMalformed(const std::string& name);

struct ExampleStreamOptions {
  int64_t max_sequence_tokens = 512;  // longer examples lose their tail
  OnMalformed on_malformed = OnMalformed::kFail;
  ShuffleOptions shuffle = {};
};

// Of what was read so far. Lines left out count in the first epoch alone, so
// that they are lines of the file.
struct ExampleCounts {
  int64_t examples = 0;        // handed out
  int64_t tokens = 0;          // of these
  int64_t cut_tokens = 0;      // that these lost with their tails
  int64_t without_target = 0;  // lines left out: nothing to learn in them
  int64_t malformed = 0;       // lines left out: no example
};

class ExampleStream {
 public:
  // Where a stream is, and what it counted on the way there.
  struct State {
    LinePosition position;
    ExampleCounts counts;
  };

  // REQUIRES: tokenizer outlives the stream. Errors of ShuffledLines.
  static StatusOr<ExampleStream> Open(const std::filesystem::path& path,
                                      const Tokenizer& tokenizer,
                                      const ExampleStreamOptions& options);

  // The next example with something to learn. Malformed lines are counted and,
  // in the first epoch, the first twenty logged with file and line, or are
  // InvalidArgument, as the options say; so is a file without such an example.
  StatusOr<TokenizedExample> Next();

  State state() const { return {lines_.position(), counts_}; }
  // Errors of ShuffledLines::Seek.
  Status Restore(const State& state);

 private:
  ExampleStream(const std::filesystem::path& path, const Tokenizer& tokenizer,
                const ExampleStreamOptions& options, ShuffledLines lines);
  // The example of a line, whole. InvalidArgument where it is none.
  StatusOr<TokenizedExample> Tokenize(std::string_view line) const;
  // OK where the options let such a line pass.
  Status NoteMalformed(int64_t line_number, const Status& why);

  std::filesystem::path path_;
  const Tokenizer* tokenizer_;
  ExampleStreamOptions options_;
  ShuffledLines lines_;
  ExampleCounts counts_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_EXAMPLE_STREAM_H_
