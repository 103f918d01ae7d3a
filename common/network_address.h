// HOST:PORT addresses, and which of them never leave this machine.
#ifndef TANDEM_COMMON_NETWORK_ADDRESS_H_
#define TANDEM_COMMON_NETWORK_ADDRESS_H_

#include <string>

#include "common/status.h"

namespace tandem {

struct NetworkAddress {
  std::string host;  // without the brackets of an IPv6 address
  int port = 0;
};

// "127.0.0.1:50551", "localhost:0", "[::1]:50551". InvalidArgument names the
// text and what was expected; a port is 0 to 65535.
StatusOr<NetworkAddress> ParseNetworkAddress(const std::string& text);

// "localhost", 127.0.0.0/8 and ::1. A name that merely begins like one of them
// ("127.0.0.1.example.org") is not.
bool IsLoopback(const std::string& host);

// FailedPrecondition, saying why, unless `address` is on loopback: plaintext
// may go nowhere else.
Status CheckPlaintextAllowed(const NetworkAddress& address);

// Takes `address` as a listener would and lets it go again. FailedPrecondition,
// naming it and the system's reason, where it is taken or not this machine's.
// OK promises nothing: another process may be faster.
Status CheckCanListen(const NetworkAddress& address);

}  // namespace tandem

#endif  // TANDEM_COMMON_NETWORK_ADDRESS_H_
