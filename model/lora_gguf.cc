#include "model/lora_gguf.h"

#include <algorithm>
#include <map>
#include <vector>

#include "model/adapted_linears.h"
#include "model/aten.h"
#include "model/gguf_reader.h"
#include "model/gguf_writer.h"
#include "model/weight_layout.h"

namespace tandem {
namespace {

constexpr char kAlphaKey[] = "adapter.lora.alpha";

// A linear with an adapter, and its weight in a GGUF.
struct LoraSlot {
  AdaptedLinear linear;
  WeightLayout weight;

  std::string GgufName(const char* factor) const {
    return weight.gguf_name + "." + factor;
  }
};

StatusOr<std::vector<LoraSlot>> SlotsOf(const DecoderConfig& config,
                                        const LoraOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<AdaptedLinear> linears,
                          AdaptedLinears(config, options));
  std::map<std::string, WeightLayout> weights;
  for (WeightLayout& weight : WeightsOf(config)) {
    weights[weight.name] = std::move(weight);
  }
  std::vector<LoraSlot> slots;
  slots.reserve(linears.size());
  for (const AdaptedLinear& linear : linears) {
    slots.push_back({linear, weights.at(WeightName(linear.module))});
  }
  return slots;
}

// Hugging Face's row for each of the GGUF's: [out].
at::Tensor RowOrder(const LoraSlot& slot) {
  const int64_t rows = slot.linear.out;
  at::Tensor order = at::arange(rows, at::kLong);
  auto* row = order.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < rows; ++i) row[i] = slot.weight.HuggingFaceRowOf(i);
  return order;
}

// What llama.cpp divides by the rank to get the module's scale.
double GgufAlpha(const LoraSlot& slot) {
  return slot.linear.scale * static_cast<double>(slot.linear.rank);
}

void AddFactor(const std::string& name, const at::Tensor& values,
               GgufWriter& writer) {
  writer.AddTensor(name, values.sizes().vec(), FormatOf(GgmlType::kF32),
                   [flat = values.contiguous()]() -> StatusOr<std::string> {
                     return std::string(
                         static_cast<const char*>(flat.const_data_ptr()),
                         flat.nbytes());
                   });
}

// A and B, the latter times whatever `alpha` leaves out of the module's scale.
void AddSlot(const Adapter& adapter, const LoraSlot& slot, double alpha,
             GgufWriter& writer) {
  const std::string& module = slot.linear.module;
  const at::Tensor a = adapter.tensors.at(LoraAName(module)).detach();
  const at::Tensor b = adapter.tensors.at(LoraBName(module)).detach();
  const auto ratio = static_cast<float>(GgufAlpha(slot) / alpha);
  const at::Tensor rows = b.index_select(0, RowOrder(slot));
  AddFactor(slot.GgufName("lora_a"), a, writer);
  AddFactor(slot.GgufName("lora_b"), ratio == 1 ? rows : rows * ratio, writer);
}

void AddMetadata(const DecoderConfig& config, const std::string& name,
                 double alpha, GgufWriter& writer) {
  writer.AddText("general.architecture", config.architecture);
  writer.AddText("general.type", "adapter");
  writer.AddText("general.name", name);
  writer.AddUint32("general.file_type", 0);  // all F32
  writer.AddText("adapter.type", "lora");
  writer.AddFloat32(kAlphaKey, static_cast<float>(alpha));
}

Status ExpectText(const GgufFile& file, const std::string& key,
                  const std::string& expected) {
  TANDEM_ASSIGN_OR_RETURN(const std::string text, file.Text(key));
  if (text == expected) return OkStatus();
  return InvalidArgument("key '{}' is '{}', expected '{}'", key, text,
                         expected);
}

Status CheckKind(const GgufFile& file, const DecoderConfig& config) {
  TANDEM_RETURN_IF_ERROR(ExpectText(file, "general.type", "adapter"));
  TANDEM_RETURN_IF_ERROR(ExpectText(file, "adapter.type", "lora"));
  return ExpectText(file, "general.architecture", config.architecture);
}

// The module's name within its layer.
std::string TargetOf(const LoraSlot& slot) {
  return slot.linear.module.substr(slot.linear.module.rfind('.') + 1);
}

// The modules that the file has factors of, in the order of
// KnownTargetModules(). Every tensor must be a factor of some slot.
StatusOr<std::vector<std::string>> TargetsOf(
    const GgufFile& file, const std::vector<LoraSlot>& slots) {
  std::map<std::string, std::string> target_of;  // by the GGUF's name
  for (const LoraSlot& slot : slots) {
    target_of[slot.GgufName("lora_a")] = TargetOf(slot);
    target_of[slot.GgufName("lora_b")] = TargetOf(slot);
  }
  std::vector<std::string> found;
  for (const auto& [name, tensor] : file.tensors) {
    if (!target_of.contains(name)) {
      return InvalidArgument("tensor '{}' adapts no linear of this model",
                             name);
    }
    found.push_back(target_of.at(name));
  }
  std::vector<std::string> targets;
  for (const std::string& known : KnownTargetModules()) {
    if (std::find(found.begin(), found.end(), known) != found.end()) {
      targets.push_back(known);
    }
  }
  if (targets.empty()) return InvalidArgument("there are no tensors");
  return targets;
}

// Of ReadFactor's `shape`.
std::string WantedText(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  sizes.reserve(shape.size());
  for (const int64_t size : shape)
    sizes.push_back(size == 0 ? "any" : std::to_string(size));
  return fmt::format("{}", fmt::join(sizes, ", "));
}

// One factor in fp32. Of `shape`, a 0 takes any size.
StatusOr<at::Tensor> ReadFactor(const GgufFile& file, const std::string& name,
                                const std::vector<int64_t>& shape) {
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end()) {
    return InvalidArgument("tensor '{}' is missing", name);
  }
  const GgufTensor& tensor = found->second;
  const bool fits = std::equal(
      shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end(),
      [](int64_t want, int64_t have) { return want == 0 || want == have; });
  if (!fits) {
    return InvalidArgument("tensor '{}' has the shape [{}], expected [{}]",
                           name, fmt::join(tensor.shape, ", "),
                           WantedText(shape));
  }
  at::Tensor values = at::empty(tensor.shape, at::kFloat);
  tensor.format->decode(tensor.data.data(),
                        values.numel() / tensor.format->block_values,
                        values.mutable_data_ptr<float>());
  return values;
}

// The dots of a name as a regular expression has them.
std::string Escaped(const std::string& module) {
  std::string escaped;
  for (const char c : module) {
    if (c == '.') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// The first module's rank is the adapter's, others are patterns beside it.
Status NoteRank(const std::string& module, int64_t rank, LoraOptions& options) {
  if (options.rank == 0) options.rank = rank;
  if (options.rank == rank) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(ModulePattern pattern,
                          ModulePattern::EndOfName(Escaped(module)));
  options.rank_pattern.push_back({std::move(pattern), rank});
  return OkStatus();
}

Status ReadSlot(const GgufFile& file, const LoraSlot& slot, Adapter& adapter) {
  const std::string& module = slot.linear.module;
  TANDEM_ASSIGN_OR_RETURN(
      at::Tensor a,
      ReadFactor(file, slot.GgufName("lora_a"), {0, slot.linear.in}));
  TANDEM_ASSIGN_OR_RETURN(
      const at::Tensor rows,
      ReadFactor(file, slot.GgufName("lora_b"), {slot.linear.out, a.size(0)}));
  TANDEM_RETURN_IF_ERROR(NoteRank(module, a.size(0), adapter.options));
  at::Tensor b = at::empty_like(rows);
  b.index_copy_(0, RowOrder(slot), rows);
  adapter.tensors[LoraAName(module)] = std::move(a);
  adapter.tensors[LoraBName(module)] = std::move(b);
  return OkStatus();
}

StatusOr<Adapter> AdapterOf(const GgufFile& file, const DecoderConfig& config) {
  TANDEM_RETURN_IF_ERROR(CheckKind(file, config));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<LoraSlot> all, SlotsOf(config, {}));
  Adapter adapter;
  TANDEM_ASSIGN_OR_RETURN(adapter.options.target_modules, TargetsOf(file, all));
  TANDEM_ASSIGN_OR_RETURN(adapter.options.alpha, file.Number(kAlphaKey));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<LoraSlot> slots,
                          SlotsOf(config, adapter.options));
  adapter.options.rank = 0;  // the first factor's
  for (const LoraSlot& slot : slots) {
    TANDEM_RETURN_IF_ERROR(ReadSlot(file, slot, adapter));
  }
  TANDEM_RETURN_IF_ERROR(
      CheckAdapterTensors(config, adapter.options, adapter.tensors));
  return adapter;
}

}  // namespace

Status SaveLoraGguf(const Adapter& adapter, const DecoderConfig& config,
                    const std::filesystem::path& path) {
  if (adapter.options.use_dora) {
    return InvalidArgument(
        "use_dora: a LoRA GGUF has no place for magnitudes; export a merged "
        "model");
  }
  TANDEM_RETURN_IF_ERROR(
      CheckAdapterTensors(config, adapter.options, adapter.tensors));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<LoraSlot> slots,
                          SlotsOf(config, adapter.options));
  const double alpha = GgufAlpha(slots.front());
  GgufWriter writer;
  AddMetadata(config, path.stem().string(), alpha, writer);
  for (const LoraSlot& slot : slots) AddSlot(adapter, slot, alpha, writer);
  return writer.Write(path);
}

StatusOr<Adapter> LoadLoraGguf(const std::filesystem::path& path,
                               const DecoderConfig& config) {
  TANDEM_ASSIGN_OR_RETURN(const GgufFile file, ReadGguf(path));
  StatusOr<Adapter> adapter = AdapterOf(file, config);
  if (!adapter.ok()) return Annotate(adapter.status(), path.string());
  return adapter;
}

}  // namespace tandem
