// Loads any checkpoint and writes it so that Python can compare it.
//   dump_checkpoint MODEL OUT.safetensors      all tensors, fp32
//   dump_checkpoint MODEL OUT_DIR hf f32|f16|bf16
//   dump_checkpoint MODEL OUT.gguf gguf TYPE  (of SaveGguf)
#include <iostream>
#include <string>

#include "model/aten.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"

namespace tandem {
namespace {

Status DumpTensors(const Checkpoint& checkpoint, const std::string& out) {
  TensorMap tensors;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    tensors[name] = tensor.to(at::kFloat);
  }
  return WriteSafetensors(out, tensors,
                          {{"format", "pt"}, {"digest", Digest(checkpoint)}});
}

at::ScalarType DtypeOf(const std::string& name) {
  if (name == "f16") return at::kHalf;
  return name == "bf16" ? at::kBFloat16 : at::kFloat;
}

Status Run(int argc, char** argv) {
  if (argc != 3 && argc != 5)
    return InvalidArgument("wrong number of arguments");
  TANDEM_ASSIGN_OR_RETURN(const Checkpoint checkpoint, LoadCheckpoint(argv[1]));
  if (argc == 3) return DumpTensors(checkpoint, argv[2]);
  const std::string format = argv[3], type = argv[4];
  if (format == "hf") {
    return SaveHuggingFace(checkpoint, DtypeOf(type), argv[2]);
  }
  return SaveGguf(checkpoint, type, argv[2]);
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  const tandem::Status status = tandem::Run(argc, argv);
  if (!status.ok()) std::cerr << tandem::ToString(status) << "\n";
  return status.ok() ? 0 : 1;
}
