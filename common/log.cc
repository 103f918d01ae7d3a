#include "common/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

namespace tandem {
namespace {

constexpr std::array kLevels = {"trace", "debug", "info",
                                "warn",  "error", "off"};

StatusOr<std::vector<spdlog::sink_ptr>> MakeSinks(const std::string& file) {
  std::vector<spdlog::sink_ptr> sinks = {
      std::make_shared<spdlog::sinks::stderr_color_sink_mt>()};
  if (file.empty()) return sinks;
  try {
    sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(file));
  } catch (const spdlog::spdlog_ex& e) {
    return Internal("cannot open log file '{}': {}", file, e.what());
  }
  return sinks;
}

}  // namespace

Status InitLogging(const std::string& level, const std::string& file) {
  if (std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end()) {
    return InvalidArgument("log level '{}': expected one of {}", level,
                           fmt::join(kLevels, ", "));
  }
  TANDEM_ASSIGN_OR_RETURN(const auto sinks, MakeSinks(file));
  auto logger =
      std::make_shared<spdlog::logger>("tandem", sinks.begin(), sinks.end());
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
  return OkStatus();
}

}  // namespace tandem
