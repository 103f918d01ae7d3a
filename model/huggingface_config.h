// A DecoderConfig in the config.json of transformers, read and written.
#ifndef TANDEM_MODEL_HUGGINGFACE_CONFIG_H_
#define TANDEM_MODEL_HUGGINGFACE_CONFIG_H_

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "model/decoder_config.h"

namespace tandem {

// rope_theta, rope_scaling and rope_local_base_freq, or transformers 5's
// rope_parameters, into the configuration. InvalidArgument, naming field and
// type: a scaling other than default, linear and llama3.
Status ReadRopeFields(const nlohmann::json& json, DecoderConfig& config);
void AddRopeFields(const DecoderConfig& config, nlohmann::json& json);

// layer_types, or sliding_window_pattern, and sliding_window into the
// configuration. InvalidArgument: a type other than full_attention and
// sliding_attention, or a window that the architecture does not have.
Status ReadWindowFields(const nlohmann::json& json, DecoderConfig& config);
void AddWindowFields(const DecoderConfig& config, nlohmann::json& json);

}  // namespace tandem

#endif  // TANDEM_MODEL_HUGGINGFACE_CONFIG_H_
