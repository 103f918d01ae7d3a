#include "distill/teacher_targets.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>

#include "model/aten.h"
#include "model/safetensors.h"

namespace tandem {
namespace {

constexpr char kFormat[] = "tandem.teacher_targets.1";
// More than any text has, little enough that sums cannot overflow.
constexpr int64_t kMaxTargetBytes = int64_t{1} << 40;
// Rounding of log-probabilities; what is further from 1 is no distribution.
constexpr double kMassTolerance = 1e-3;

int64_t CountTargets(const TokenizedExample& example) {
  return std::count(example.is_target.begin(), example.is_target.end(), 1);
}

template <typename T>
at::Tensor TensorOf(const std::vector<T>& values, at::ScalarType dtype) {
  return at::tensor(at::ArrayRef<T>(values), dtype);
}

// ---- Writing.

Status CheckFit(const TeacherTargets& all) {
  if (all.examples.empty()) return InvalidArgument("no examples");
  if (all.targets.size() != all.examples.size()) {
    return InvalidArgument("{} examples but targets of {}", all.examples.size(),
                           all.targets.size());
  }
  const int64_t k = all.targets[0].indices.size(1);
  for (size_t i = 0; i < all.examples.size(); ++i) {
    const TopKTargets& rows = all.targets[i];
    const int64_t count = CountTargets(all.examples[i]);
    if (rows.indices.sizes() != at::IntArrayRef({count, k}) ||
        rows.log_probabilities.sizes() != rows.indices.sizes() ||
        rows.left_over.sizes() != at::IntArrayRef({count})) {
      return InvalidArgument(
          "targets of example {} do not have {} rows of {} tokens", i, count,
          k);
    }
  }
  return OkStatus();
}

TensorMap ExampleTensors(const std::vector<TokenizedExample>& examples) {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> is_target;
  std::vector<int64_t> offsets = {0}, target_bytes;
  for (const TokenizedExample& example : examples) {
    tokens.insert(tokens.end(), example.tokens.begin(), example.tokens.end());
    is_target.insert(is_target.end(), example.is_target.begin(),
                     example.is_target.end());
    offsets.push_back(static_cast<int64_t>(tokens.size()));
    target_bytes.push_back(example.target_bytes);
  }
  return {{"tokens", TensorOf(tokens, at::kInt)},
          {"is_target", TensorOf(is_target, at::kByte)},
          {"offsets", TensorOf(offsets, at::kLong)},
          {"target_bytes", TensorOf(target_bytes, at::kLong)}};
}

TopKTargets Concatenate(const std::vector<TopKTargets>& parts) {
  std::vector<at::Tensor> indices, log_probabilities, left_over;
  for (const TopKTargets& part : parts) {
    indices.push_back(part.indices);
    log_probabilities.push_back(part.log_probabilities);
    left_over.push_back(part.left_over);
  }
  return {.indices = at::cat(indices),
          .log_probabilities = at::cat(log_probabilities),
          .left_over = at::cat(left_over)};
}

// ---- Reading.

// The tensor of this name. A size of -1 may be anything but zero.
StatusOr<at::Tensor> FindTensor(const TensorMap& tensors,
                                const std::string& name, at::ScalarType dtype,
                                const std::vector<int64_t>& shape) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) return InvalidArgument("no tensor '{}'", name);
  const at::Tensor& tensor = found->second;
  if (tensor.scalar_type() != dtype) {
    return InvalidArgument("tensor '{}' is {}, expected {}", name,
                           at::toString(tensor.scalar_type()),
                           at::toString(dtype));
  }
  bool fits = tensor.dim() == static_cast<int64_t>(shape.size());
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    fits = shape[i] < 0 ? tensor.size(i) > 0 : tensor.size(i) == shape[i];
  }
  if (!fits) {
    return InvalidArgument("tensor '{}' has shape [{}], expected [{}]", name,
                           fmt::join(tensor.sizes(), ", "),
                           fmt::join(shape, ", "));
  }
  // A copy: whoever changes the file now cannot undo the checks below.
  return tensor.clone();
}

StatusOr<double> ParseTemperature(
    const std::map<std::string, std::string>& metadata) {
  const auto format = metadata.find("format");
  if (format == metadata.end() || format->second != kFormat) {
    return InvalidArgument(
        "not a file of teacher targets: format is '{}', "
        "expected '{}'",
        format == metadata.end() ? "" : format->second, kFormat);
  }
  const auto found = metadata.find("temperature");
  const std::string text = found == metadata.end() ? "" : found->second;
  double value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end || !std::isfinite(value) ||
      value <= 0) {
    return InvalidArgument("temperature is '{}', expected a number above 0",
                           text);
  }
  return value;
}

Status CheckBetween(const at::Tensor& values, int64_t low, int64_t high,
                    const std::string& name) {
  const auto min = values.min().item<int64_t>();
  const auto max = values.max().item<int64_t>();
  if (min >= low && max <= high) return OkStatus();
  return InvalidArgument("tensor '{}' holds {}, expected {} to {}", name,
                         min < low ? min : max, low, high);
}

// The documents [offsets[i], offsets[i + 1]) cut `tokens` without gaps.
Status CheckOffsets(const at::Tensor& offsets, int64_t tokens) {
  const int64_t* at = offsets.const_data_ptr<int64_t>();
  const int64_t last = offsets.size(0) - 1;
  if (at[0] != 0 || at[last] != tokens) {
    return InvalidArgument("offsets run from {} to {}, expected 0 to {}", at[0],
                           at[last], tokens);
  }
  for (int64_t i = 0; i < last; ++i) {
    if (at[i] < at[i + 1]) continue;
    return InvalidArgument("offset {} is {}, expected more than {}", i + 1,
                           at[i + 1], at[i]);
  }
  return OkStatus();
}

StatusOr<std::vector<TokenizedExample>> ReadExampleTensors(
    const TensorMap& tensors, int64_t vocabulary_size) {
  TANDEM_ASSIGN_OR_RETURN(const at::Tensor tokens,
                          FindTensor(tensors, "tokens", at::kInt, {-1}));
  const int64_t count = tokens.size(0);
  TANDEM_ASSIGN_OR_RETURN(const at::Tensor is_target,
                          FindTensor(tensors, "is_target", at::kByte, {count}));
  TANDEM_ASSIGN_OR_RETURN(const at::Tensor target_bytes,
                          FindTensor(tensors, "target_bytes", at::kLong, {-1}));
  const int64_t examples = target_bytes.size(0);
  TANDEM_ASSIGN_OR_RETURN(
      const at::Tensor offsets,
      FindTensor(tensors, "offsets", at::kLong, {examples + 1}));
  TANDEM_RETURN_IF_ERROR(
      CheckBetween(tokens, 0, vocabulary_size - 1, "tokens"));
  TANDEM_RETURN_IF_ERROR(CheckBetween(is_target, 0, 1, "is_target"));
  TANDEM_RETURN_IF_ERROR(
      CheckBetween(target_bytes, 0, kMaxTargetBytes, "target_bytes"));
  TANDEM_RETURN_IF_ERROR(CheckOffsets(offsets, count));
  std::vector<TokenizedExample> result;
  for (int64_t i = 0; i < examples; ++i) {
    const int64_t first = offsets.const_data_ptr<int64_t>()[i];
    const int64_t end = offsets.const_data_ptr<int64_t>()[i + 1];
    const auto* ids = tokens.const_data_ptr<int32_t>();
    const auto* mask = is_target.const_data_ptr<uint8_t>();
    TokenizedExample example{
        .tokens = {ids + first, ids + end},
        .is_target = {mask + first, mask + end},
        .target_bytes = target_bytes.const_data_ptr<int64_t>()[i]};
    if (example.is_target[0] != 0 || CountTargets(example) == 0) {
      return InvalidArgument(
          "example {} must have a target token, and not its first", i);
    }
    result.push_back(std::move(example));
  }
  return result;
}

Status CheckIndices(const at::Tensor& indices, int64_t vocabulary_size) {
  TANDEM_RETURN_IF_ERROR(
      CheckBetween(indices, 0, vocabulary_size - 1, "indices"));
  const at::Tensor sorted = std::get<0>(indices.sort(1));
  if (sorted.diff(1, 1).eq(0).any().item<bool>()) {
    return InvalidArgument("tensor 'indices' names a token twice in one row");
  }
  return OkStatus();
}

Status CheckProbabilities(const at::Tensor& log_probabilities,
                          const at::Tensor& left_over) {
  // Written so that NaN fails too.
  if (!log_probabilities.isfinite().all().item<bool>() ||
      !log_probabilities.le(0).all().item<bool>()) {
    return InvalidArgument(
        "tensor 'log_probabilities' holds {}, expected finite values of at "
        "most 0",
        log_probabilities.max().item<double>());
  }
  if (!left_over.ge(0).logical_and(left_over.le(1)).all().item<bool>()) {
    return InvalidArgument(
        "tensor 'left_over' holds values of {} to {}, expected 0 to 1",
        left_over.min().item<double>(), left_over.max().item<double>());
  }
  const at::Tensor error =
      (log_probabilities.exp().sum(1) + left_over - 1).abs().max();
  if (error.item<double>() > kMassTolerance) {
    return InvalidArgument("probabilities of a row sum to 1 +- {}, expected 1",
                           error.item<double>());
  }
  return OkStatus();
}

// `rows` target tokens in all.
StatusOr<TopKTargets> ReadRows(const TensorMap& tensors, int64_t rows,
                               int64_t vocabulary_size) {
  TANDEM_ASSIGN_OR_RETURN(at::Tensor indices,
                          FindTensor(tensors, "indices", at::kInt, {rows, -1}));
  const int64_t k = indices.size(1);
  TANDEM_ASSIGN_OR_RETURN(
      const at::Tensor log_probabilities,
      FindTensor(tensors, "log_probabilities", at::kFloat, {rows, k}));
  TANDEM_ASSIGN_OR_RETURN(const at::Tensor left_over,
                          FindTensor(tensors, "left_over", at::kFloat, {rows}));
  TANDEM_RETURN_IF_ERROR(CheckIndices(indices, vocabulary_size));
  TANDEM_RETURN_IF_ERROR(CheckProbabilities(log_probabilities, left_over));
  return TopKTargets{.indices = indices.to(at::kLong),
                     .log_probabilities = log_probabilities,
                     .left_over = left_over};
}

StatusOr<TeacherTargets> ParseFile(const Safetensors& file,
                                   int64_t vocabulary_size) {
  TeacherTargets all;
  TANDEM_ASSIGN_OR_RETURN(all.temperature, ParseTemperature(file.metadata));
  static const std::set<std::string> kNames = {
      "tokens",  "is_target",         "offsets",  "target_bytes",
      "indices", "log_probabilities", "left_over"};
  for (const auto& [name, unused] : file.tensors) {
    if (!kNames.contains(name)) {
      return InvalidArgument("unexpected tensor '{}'", name);
    }
  }
  TANDEM_ASSIGN_OR_RETURN(all.examples,
                          ReadExampleTensors(file.tensors, vocabulary_size));
  int64_t rows = 0;
  for (const auto& example : all.examples) rows += CountTargets(example);
  TANDEM_ASSIGN_OR_RETURN(const TopKTargets targets,
                          ReadRows(file.tensors, rows, vocabulary_size));
  int64_t first = 0;
  for (const TokenizedExample& example : all.examples) {
    const int64_t count = CountTargets(example);
    all.targets.push_back(targets.Rows(first, count));
    first += count;
  }
  return all;
}

}  // namespace

DistillationBatch PackTargets(const TeacherTargets& all,
                              const std::vector<int64_t>& indices) {
  std::vector<const TokenizedExample*> examples;
  std::vector<TopKTargets> targets;
  for (int64_t index : indices) {
    examples.push_back(&all.examples.at(index));
    targets.push_back(all.targets.at(index));
  }
  return {.batch = PackExamples(examples), .targets = Concatenate(targets)};
}

Status WriteTeacherTargets(const TeacherTargets& targets,
                           const std::filesystem::path& path) {
  TANDEM_RETURN_IF_ERROR(Annotate(CheckFit(targets), path.string()));
  TensorMap tensors = ExampleTensors(targets.examples);
  const TopKTargets rows = Concatenate(targets.targets);
  tensors["indices"] = rows.indices.to(at::kInt);
  tensors["log_probabilities"] = rows.log_probabilities.to(at::kFloat);
  tensors["left_over"] = rows.left_over.to(at::kFloat);
  return WriteSafetensors(
      path, tensors,
      {{"format", kFormat},
       {"temperature", fmt::format("{}", targets.temperature)}});
}

StatusOr<TeacherTargets> ReadTeacherTargets(const std::filesystem::path& path,
                                            int64_t vocabulary_size) {
  TANDEM_ASSIGN_OR_RETURN(const Safetensors file, ReadSafetensors(path));
  auto targets = ParseFile(file, vocabulary_size);
  if (!targets.ok()) return Annotate(targets.status(), path.string());
  return targets;
}

}  // namespace tandem
