#include "distill/teacher.h"

#include <ATen/core/grad_mode.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/digest.h"
#include "common/files.h"
#include "model/aten.h"

namespace tandem {
namespace {

// Tokens of one forward pass, and rows whose logits exist at one time.
constexpr int64_t kPassTokens = 512;
constexpr int64_t kLogitRows = 128;

Status CheckExample(const TokenizedExample& example, size_t index,
                    const DecoderConfig& teacher) {
  if (example.is_target.size() != example.tokens.size() ||
      std::count(example.is_target.begin(), example.is_target.end(), 1) == 0 ||
      example.is_target[0] != 0) {
    return InvalidArgument(
        "example {} must have a target token, and not its first", index);
  }
  if (static_cast<int64_t>(example.tokens.size()) > teacher.context_length) {
    return InvalidArgument(
        "example {} has {} tokens, the teacher's context length is {}", index,
        example.tokens.size(), teacher.context_length);
  }
  for (int32_t token : example.tokens) {
    if (token >= 0 && token < teacher.vocabulary_size) continue;
    return InvalidArgument("example {} has token {}, the teacher knows 0 to {}",
                           index, token, teacher.vocabulary_size - 1);
  }
  return OkStatus();
}

Status CheckOptions(const TargetOptions& options) {
  if (options.top_k < 1) {
    return InvalidArgument("top_k is {}, expected at least 1", options.top_k);
  }
  if (!(options.temperature > 0) || !std::isfinite(options.temperature)) {
    return InvalidArgument("temperature is {}, expected more than 0",
                           options.temperature);
  }
  return OkStatus();
}

template <typename T>
void Add(Sha256& hash, const std::vector<T>& values) {
  hash.Update(fmt::format("{};", values.size()));
  hash.Update({reinterpret_cast<const char*>(values.data()),
               values.size() * sizeof(T)});
}

// The name of targets in the cache: what they depend on, and nothing else.
std::string CacheKey(const std::string& teacher,
                     const std::vector<TokenizedExample>& examples,
                     const TargetOptions& options) {
  Sha256 hash;
  hash.Update(fmt::format("tandem.teacher_targets.1;{};{};{:a};{};", teacher,
                          options.top_k, options.temperature, examples.size()));
  for (const TokenizedExample& example : examples) {
    Add(hash, example.tokens);
    Add(hash, example.is_target);
    hash.Update(fmt::format("{};", example.target_bytes));
  }
  return std::move(hash).HexDigest();
}

Status CreateCacheFolder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) return OkStatus();
  return ErrnoStatus(error.value(), "create folder", folder);
}

// How many of the examples from `first` on one pass takes: at least one.
size_t PassEnd(const std::vector<TokenizedExample>& examples, size_t first) {
  size_t end = first, tokens = 0;
  do {
    tokens += examples[end++].tokens.size();
  } while (end < examples.size() &&
           tokens + examples[end].tokens.size() <= kPassTokens);
  return end;
}

// The rows of each example out of those of all, laid end to end.
void Split(const TopKTargets& rows, size_t first, size_t end,
           const std::vector<TokenizedExample>& examples,
           std::vector<TopKTargets>& targets) {
  int64_t row = 0;
  for (size_t i = first; i < end; ++i) {
    const int64_t count = std::count(examples[i].is_target.begin(),
                                     examples[i].is_target.end(), 1);
    targets.push_back(rows.Rows(row, count));
    row += count;
  }
}

// Of the target rows of a batch, a few rows' logits at a time.
TopKTargets RowsOf(const Decoder& model, const PackedBatch& batch,
                   const TargetOptions& options) {
  const at::Tensor hidden = model.ForwardRows(
      batch.tokens, batch.document_offsets, batch.target_rows, nullptr);
  std::vector<at::Tensor> indices, log_probabilities, left_over;
  for (const at::Tensor& chunk : hidden.split(kLogitRows)) {
    const TopKTargets rows =
        TopKOf(model.Logits(chunk), options.top_k, options.temperature);
    indices.push_back(rows.indices);
    log_probabilities.push_back(rows.log_probabilities);
    left_over.push_back(rows.left_over);
  }
  return {.indices = at::cat(indices),
          .log_probabilities = at::cat(log_probabilities),
          .left_over = at::cat(left_over)};
}

}  // namespace

LocalTeacher::LocalTeacher(Decoder model, Tokenizer tokenizer,
                           std::string digest)
    : model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      digest_(std::move(digest)) {}

StatusOr<LocalTeacher> LocalTeacher::Load(const std::filesystem::path& model,
                                          const std::string& compute_dtype) {
  TANDEM_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                          LoadCheckpoint(model, GgufMatrices::kKeepBlocks));
  return Create(checkpoint, compute_dtype);
}

StatusOr<LocalTeacher> LocalTeacher::Create(const Checkpoint& checkpoint,
                                            const std::string& compute_dtype) {
  TANDEM_ASSIGN_OR_RETURN(const WeightStorage storage,
                          ParseComputeDtype(compute_dtype));
  TANDEM_ASSIGN_OR_RETURN(Decoder model, Decoder::Create(checkpoint, storage));
  TANDEM_ASSIGN_OR_RETURN(Tokenizer tokenizer,
                          Tokenizer::Create(checkpoint.tokenizer));
  // bf16 weights say something slightly else than fp32 ones.
  const std::string digest =
      fmt::format("{};{}", Digest(checkpoint), storage.Name());
  return LocalTeacher(std::move(model), std::move(tokenizer), digest);
}

Status LocalTeacher::CheckSameVocabulary(const Tokenizer& student) const {
  const std::vector<std::string>& ours = tokenizer_.data().tokens;
  const std::vector<std::string>& theirs = student.data().tokens;
  if (ours.size() != theirs.size()) {
    return FailedPrecondition(
        "the teacher's vocabulary has {} tokens, the student's {}: teacher and "
        "student must share a tokenizer",
        ours.size(), theirs.size());
  }
  for (size_t id = 0; id < ours.size(); ++id) {
    if (ours[id] == theirs[id]) continue;
    return FailedPrecondition(
        "token {} is '{}' for the teacher and '{}' for the student: teacher "
        "and student must share a tokenizer",
        id, ours[id], theirs[id]);
  }
  return OkStatus();
}

Status LocalTeacher::CheckExamples(
    const std::vector<TokenizedExample>& examples) const {
  if (examples.empty()) return InvalidArgument("no examples for the teacher");
  for (size_t i = 0; i < examples.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(CheckExample(examples[i], i, model_.config()));
  }
  return OkStatus();
}

StatusOr<TeacherTargets> LocalTeacher::Targets(
    const std::vector<TokenizedExample>& examples, const TargetOptions& options,
    const std::filesystem::path& cache_folder,
    const std::function<bool(int64_t, int64_t)>& on_progress) const {
  const int64_t vocabulary_size = model_.config().vocabulary_size;
  TANDEM_RETURN_IF_ERROR(CheckOptions(options));
  TANDEM_RETURN_IF_ERROR(CheckExamples(examples));
  TANDEM_RETURN_IF_ERROR(CreateCacheFolder(cache_folder));
  const std::filesystem::path path =
      cache_folder / (CacheKey(digest_, examples, options) + ".safetensors");
  auto cached = ReadTeacherTargets(path, vocabulary_size);
  if (cached.ok()) return cached;
  if (cached.status().code() != StatusCode::kNotFound) {
    spdlog::warn("computing teacher targets anew: {}",
                 ToString(cached.status()));
  }
  TANDEM_ASSIGN_OR_RETURN(const TeacherTargets targets,
                          CatchExceptions("teacher", [&] {
                            return Compute(examples, options, on_progress);
                          }));
  TANDEM_RETURN_IF_ERROR(WriteTeacherTargets(targets, path));
  return ReadTeacherTargets(path, vocabulary_size);
}

StatusOr<TeacherTargets> LocalTeacher::Compute(
    const std::vector<TokenizedExample>& examples, const TargetOptions& options,
    const std::function<bool(int64_t, int64_t)>& on_progress) const {
  TeacherTargets all{
      .examples = examples, .targets = {}, .temperature = options.temperature};
  for (size_t first = 0; first < examples.size();) {
    const size_t end = PassEnd(examples, first);
    TANDEM_ASSIGN_OR_RETURN(const TopKTargets rows,
                            ComputePass(examples, first, end, options));
    Split(rows, first, end, examples, all.targets);
    first = end;
    if (on_progress && !on_progress(static_cast<int64_t>(end),
                                    static_cast<int64_t>(examples.size()))) {
      return Cancelled("the teacher was stopped after example {} of {}", end,
                       examples.size());
    }
  }
  return all;
}

StatusOr<TopKTargets> LocalTeacher::ComputePass(
    const std::vector<TokenizedExample>& examples, size_t first, size_t end,
    const TargetOptions& options) const {
  const at::NoGradGuard no_grad;
  std::vector<const TokenizedExample*> pass;
  for (size_t i = first; i < end; ++i) pass.push_back(&examples[i]);
  TopKTargets rows = RowsOf(model_, PackExamples(pass), options);
  if (!rows.log_probabilities.isfinite().all().item<bool>()) {
    return Internal(
        "the teacher's probabilities for example {} or one of the next {} are "
        "not finite",
        first, end - first - 1);
  }
  return rows;
}

}  // namespace tandem
