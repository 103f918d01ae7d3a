#include "common/network_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

namespace tandem {
namespace {

Status Malformed(const std::string& text, const std::string& why) {
  return InvalidArgument(
      "address '{}': {}, expected HOST:PORT such as 127.0.0.1:50551", text,
      why);
}

Status CannotListen(const NetworkAddress& address, const char* why) {
  return FailedPrecondition("cannot listen on {}:{}: {}", address.host,
                            address.port, why);
}

// The errno of a bind that ends at once; 0: it went well. Connections of a
// server that was killed may linger on the port, its listener may not.
int TryBind(const addrinfo& where) {
  const int probe =
      ::socket(where.ai_family, SOCK_STREAM | SOCK_CLOEXEC, /*protocol=*/0);
  if (probe < 0) return errno;
  const int on = 1;
  ::setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const bool bound = ::bind(probe, where.ai_addr, where.ai_addrlen) == 0;
  const int error = bound ? 0 : errno;
  ::close(probe);
  return error;
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

Status CheckCanListen(const NetworkAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(),
                    &hints, &found);
  if (code != 0) return CannotListen(address, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found,
                                                             ::freeaddrinfo);
  // A name may stand for several; one of them is enough to listen.
  int error = 0;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    error = TryBind(*at);
    if (error == 0) return OkStatus();
  }
  return CannotListen(address, std::strerror(error));
}

}  // namespace tandem
