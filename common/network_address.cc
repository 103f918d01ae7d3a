#include "common/network_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace tandem {
namespace {

Status Malformed(const std::string& text, const std::string& why) {
  return InvalidArgument(
      "address '{}': {}, expected HOST:PORT such as 127.0.0.1:50551", text,
      why);
}

}  // namespace

StatusOr<NetworkAddress> ParseNetworkAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return Malformed(text, "no port");
  NetworkAddress address;
  address.host = text.substr(0, colon);
  const bool bracketed = address.host.size() > 2 &&
                         address.host.front() == '[' &&
                         address.host.back() == ']';
  if (bracketed) {
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (address.host.find(':') != std::string::npos) {
    return Malformed(text, "an IPv6 address needs brackets");
  }
  if (address.host.empty()) return Malformed(text, "no host");
  const char* end = text.data() + text.size();
  const auto [rest, error] =
      std::from_chars(text.data() + colon + 1, end, address.port);
  if (error != std::errc() || rest != end || address.port < 0 ||
      address.port > 65535) {
    return Malformed(text, "the port is not a number from 0 to 65535");
  }
  return address;
}

bool IsLoopback(const std::string& host) {
  in_addr ipv4;
  if (inet_pton(AF_INET, host.c_str(), &ipv4) == 1) {
    return (ntohl(ipv4.s_addr) >> 24) == 127;
  }
  in6_addr ipv6;
  if (inet_pton(AF_INET6, host.c_str(), &ipv6) == 1) {
    return std::equal(ipv6.s6_addr, ipv6.s6_addr + 16,
                      in6addr_loopback.s6_addr);
  }
  return host == "localhost";
}

Status CheckPlaintextAllowed(const NetworkAddress& address) {
  if (IsLoopback(address.host)) return OkStatus();
  return FailedPrecondition(
      "refusing '{}:{}': only loopback (127.0.0.0/8, ::1, localhost) may be "
      "plaintext, and transport security is not available yet; reach another "
      "machine through a tunnel that ends on loopback",
      address.host, address.port);
}

}  // namespace tandem
