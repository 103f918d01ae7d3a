#include "model/token_index.h"

#include <algorithm>
#include <bit>

#include "model/byte_hash.h"

namespace tandem {
namespace {

uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

}  // namespace

size_t TokenIndex::Place(std::string_view text, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].id != kNoToken &&
         (slots_[at].tag != TagOf(hash) || (*tokens_)[slots_[at].id] != text)) {
    at = (at + 1) & mask;
  }
  return at;
}

StatusOr<TokenIndex> TokenIndex::Create(
    const std::vector<std::string>& tokens) {
  TokenIndex index;
  index.tokens_ = &tokens;
  index.slots_.resize(std::bit_ceil(tokens.size() * 2 + 2));
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string& text = tokens[id];
    if (text.empty()) return InvalidArgument("token {} is empty", id);
    const uint64_t hash = HashBytes(text);
    Slot& slot = index.slots_[index.Place(text, hash)];
    if (slot.id != kNoToken) {
      return InvalidArgument("tokens {} and {} are both '{}'", slot.id, id,
                             text);
    }
    slot = {TagOf(hash), static_cast<int32_t>(id)};
    index.longest_bytes_ = std::max(index.longest_bytes_, text.size());
  }
  return index;
}

int32_t TokenIndex::Find(std::string_view text) const {
  if (text.empty() || text.size() > longest_bytes_) return kNoToken;
  return slots_[Place(text, HashBytes(text))].id;
}

}  // namespace tandem
