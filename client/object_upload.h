// Sending an object to the server, from where an earlier attempt ended.
#ifndef TANDEM_CLIENT_OBJECT_UPLOAD_H_
#define TANDEM_CLIENT_OBJECT_UPLOAD_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/status.h"
#include "proto/federation.pb.h"

namespace tandem {

// One PutObject call: the chunk at `offset`, answered with the number of bytes
// that the server has.
using ChunkSink =
    std::function<StatusOr<int64_t>(int64_t offset, std::string_view chunk)>;

// Asks how far the server got, by an empty chunk, and sends the rest in pieces
// of at most chunk_bytes. Follows the server's answers, also backwards: a
// server that was restarted may have less than it said. DataLoss: the server
// makes no progress or says nonsense. Errors of `sink`; INVALID_ARGUMENT (the
// server's bytes have another digest, the upload starts over) is met by one
// more attempt. FAILED_PRECONDITION (the task has ended at the server) comes
// back at once: a report of the failure is then answered with how it ended.
// REQUIRES: chunk_bytes > 0.
Status UploadObject(std::string_view bytes, int64_t chunk_bytes,
                    const ChunkSink& sink);

}  // namespace tandem

#endif  // TANDEM_CLIENT_OBJECT_UPLOAD_H_
