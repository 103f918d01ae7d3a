#include "model/safetensors_shards.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "common/files.h"
#include "model/aten.h"
#include "model/json_fields.h"
#include "model/safetensors.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using ShardOf = std::map<std::string, std::string>;  // tensor -> file name

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

StatusOr<ShardOf> ParseIndex(const std::string& text) {
  TANDEM_ASSIGN_OR_RETURN(const Json index, ParseJsonObject(text));
  if (!HasField(index, "weight_map") || !index["weight_map"].is_object()) {
    return InvalidArgument("field 'weight_map' is missing or not an object");
  }
  ShardOf shard_of;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string() || !IsPlainFileName(shard.get<std::string>())) {
      return InvalidArgument(
          "the shard of '{}' is {}, expected a plain file name", tensor,
          Shown(shard));
    }
    shard_of[tensor] = shard.get<std::string>();
  }
  return shard_of;
}

// The tensors of one shard, each of them where the index says it is.
Status AddShard(const fs::path& folder, const std::string& shard,
                const ShardOf& shard_of, TensorMap& tensors) {
  TANDEM_ASSIGN_OR_RETURN(const Safetensors file,
                          ReadSafetensors(folder / shard));
  for (const auto& [name, tensor] : file.tensors) {
    const auto named = shard_of.find(name);
    if (named == shard_of.end()) {
      return InvalidArgument("tensor '{}' of {} is not in the index", name,
                             shard);
    }
    if (named->second != shard) {
      return InvalidArgument("tensor '{}' is in {}, but the index says {}",
                             name, shard, named->second);
    }
    tensors[name] = tensor;
  }
  return OkStatus();
}

StatusOr<TensorMap> ReadShards(const fs::path& folder) {
  TANDEM_ASSIGN_OR_RETURN(const std::string text,
                          ReadFile(folder / kIndexFile));
  TANDEM_ASSIGN_OR_RETURN(const ShardOf shard_of, ParseIndex(text));
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.insert(shard);
  TensorMap tensors;
  for (const std::string& shard : shards) {
    TANDEM_RETURN_IF_ERROR(AddShard(folder, shard, shard_of, tensors));
  }
  for (const auto& [tensor, shard] : shard_of) {
    if (!tensors.contains(tensor)) {
      return InvalidArgument("tensor '{}' is not in {}, where the index has it",
                             tensor, shard);
    }
  }
  return tensors;
}

int64_t BytesAs(at::ScalarType dtype, const at::Tensor& tensor) {
  return tensor.numel() * static_cast<int64_t>(c10::elementSize(dtype));
}

// In the order of the names, a new one where the next tensor would not fit.
std::vector<TensorMap> Split(const TensorMap& tensors, at::ScalarType dtype,
                             int64_t max_shard_bytes) {
  std::vector<TensorMap> shards(1);
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) {
    const int64_t more = BytesAs(dtype, tensor);
    if (!shards.back().empty() && more > max_shard_bytes - bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back()[name] = tensor;
    bytes += more;
  }
  return shards;
}

std::vector<std::string> FileNames(size_t shards) {
  if (shards == 1) return {kSingleFile};
  std::vector<std::string> names;
  names.reserve(shards);
  for (size_t i = 1; i <= shards; ++i) {
    names.push_back(fmt::format("model-{:05}-of-{:05}.safetensors", i, shards));
  }
  return names;
}

std::string IndexText(const std::vector<TensorMap>& shards,
                      const std::vector<std::string>& names,
                      at::ScalarType dtype) {
  Json weight_map = Json::object();
  int64_t total_size = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    for (const auto& [name, tensor] : shards[i]) {
      weight_map[name] = names[i];
      total_size += BytesAs(dtype, tensor);
    }
  }
  const Json index = {{"metadata", {{"total_size", total_size}}},
                      {"weight_map", std::move(weight_map)}};
  return index.dump(2) + "\n";
}

bool IsWeightsFile(const std::string& name) {
  const bool is_shard = name.starts_with("model-") &&
                        name.find("-of-") != std::string::npos &&
                        name.ends_with(".safetensors");
  return is_shard || name == kSingleFile || name == kIndexFile;
}

// Weights in the folder under names that WriteWeights gives, other than
// `written`.
Status RemoveOthers(const fs::path& folder,
                    const std::vector<std::string>& written) {
  std::error_code error;
  const fs::directory_iterator entries(folder, error);
  if (error) return ErrnoStatus(error.value(), "list", folder);
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (!IsWeightsFile(name) ||
        std::find(written.begin(), written.end(), name) != written.end()) {
      continue;
    }
    fs::remove(entry.path(), error);
    if (error) return ErrnoStatus(error.value(), "remove", entry.path());
  }
  return OkStatus();
}

}  // namespace

fs::path WeightsFile(const fs::path& folder) {
  std::error_code ignored;
  const bool sharded = !fs::exists(folder / kSingleFile, ignored) &&
                       fs::exists(folder / kIndexFile, ignored);
  return folder / (sharded ? kIndexFile : kSingleFile);
}

StatusOr<TensorMap> ReadWeights(const fs::path& folder) {
  const fs::path file = WeightsFile(folder);
  if (file.filename() == kSingleFile) {
    TANDEM_ASSIGN_OR_RETURN(Safetensors single, ReadSafetensors(file));
    return std::move(single.tensors);
  }
  StatusOr<TensorMap> tensors = ReadShards(folder);
  if (!tensors.ok()) return Annotate(tensors.status(), file.string());
  return tensors;
}

Status WriteWeights(const fs::path& folder, const TensorMap& tensors,
                    at::ScalarType dtype, int64_t max_shard_bytes) {
  if (max_shard_bytes < 1) {
    return InvalidArgument("max_shard_bytes is {}, expected 1 or more",
                           max_shard_bytes);
  }
  const std::vector<TensorMap> shards = Split(tensors, dtype, max_shard_bytes);
  std::vector<std::string> names = FileNames(shards.size());
  for (size_t i = 0; i < shards.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(WriteSafetensors(folder / names[i], shards[i],
                                            {{"format", "pt"}}, dtype));
  }
  if (shards.size() > 1) {
    TANDEM_RETURN_IF_ERROR(WriteFileAtomically(
        folder / kIndexFile, IndexText(shards, names, dtype)));
    names.emplace_back(kIndexFile);
  }
  return RemoveOthers(folder, names);
}

}  // namespace tandem
