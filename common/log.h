// Logging: spdlog's default logger to standard error, and to a file where
// asked. Code calls spdlog::info(...) and so on.
#ifndef TANDEM_COMMON_LOG_H_
#define TANDEM_COMMON_LOG_H_

#include <spdlog/spdlog.h>

#include <string>

#include "common/status.h"

namespace tandem {

// level: trace, debug, info, warn, error or off. InvalidArgument for any other;
// an Internal error where `file` (which may be empty) cannot be opened.
Status InitLogging(const std::string& level, const std::string& file);

}  // namespace tandem

#endif  // TANDEM_COMMON_LOG_H_
