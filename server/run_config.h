// What a ServerConfig means for the parts of a run, and whether it is still the
// one that the run was started with.
#ifndef TANDEM_SERVER_RUN_CONFIG_H_
#define TANDEM_SERVER_RUN_CONFIG_H_

#include <cstdint>
#include <string>

#include "common/status.h"
#include "proto/config.pb.h"
#include "server/aggregation_rule.h"
#include "server/client_selector.h"
#include "server/server_optimizer.h"
#include "server/update_check.h"

namespace tandem {

// InvalidArgument: values that are each in range but contradict each other,
// such as a quorum above the cohort size, privacy with a fixed cohort or a
// sampling rate of 0, or targets for clients without a teacher.
Status CheckServerConfig(const proto::ServerConfig& config);

// FailedPrecondition names the first field that differs and matters: anything
// but addresses, limits, logging, deadlines, threads, folders, the simulation,
// the run's name and the path of the student (its digest is compared instead).
// A field that is not set equals its default. `stored` is protobuf's text
// format.
Status CheckSameConfig(const std::string& stored,
                       const proto::ServerConfig& given);
// The text that CheckSameConfig compares with.
std::string ConfigToText(const proto::ServerConfig& config);
// DataLoss where the text is not one.
StatusOr<proto::ServerConfig> ConfigFromText(const std::string& text);

SelectorOptions SelectorOptionsFrom(const proto::RoundsConfig& config);
// The fixed denominator of a private mean comes from the configuration alone,
// since the number of clients is itself private: privacy.expected_clients, or
// where that is 0, cohort_size (0: min_clients) for the fixed selector and
// sampling_rate * min_clients for Poisson sampling, which takes min_clients as
// the size of the population.
AggregationOptions AggregationOptionsFrom(const proto::ServerConfig& config);
ServerOptimizerOptions ServerOptimizerOptionsFrom(
    const proto::AggregationConfig& config);
// REQUIRES: CheckServerConfig is OK (the rule exists).
UpdateLimits UpdateLimitsFrom(const proto::ServerConfig& config);
bool FreezesLoraA(const proto::ServerConfig& config);

// What the accountant may assume: Poisson sampling amplifies, drawing a fixed
// number does not in its analysis, and counts as everybody taking part.
double SamplingRateForPrivacy(const proto::RoundsConfig& config);

// training.distillation_weight, or 0 where distillation is off as a whole.
double ClientDistillationWeight(const proto::ServerConfig& config);

}  // namespace tandem

#endif  // TANDEM_SERVER_RUN_CONFIG_H_
