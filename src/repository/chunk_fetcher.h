#pragma once
// Fetches many chunks with few requests: chunks that lie close together in a pack come with one
// ranged get, several gets are under way at once, and every chunk is authenticated and decompressed
// before anybody sees it.
// Memory: `threads` times kReadBytes, plus one plain chunk each.

#include <cstddef>
#include <functional>
#include <stop_token>
#include <vector>

#include "core/error.h"
#include "repository/chunk_reader.h"

namespace holdfast {

// The most that one ranged get asks for.
inline constexpr std::size_t kReadBytes = std::size_t{8} << 20U;

struct ChunkRequest {
  ChunkAddress address;
  std::size_t tag = 0;  // the caller's; handed back with the chunk
};

struct FetchOptions {
  std::size_t threads = 8;
  // Where set, a chunk that is missing or damaged is told here, from several threads at once, and
  // the rest goes on.
  std::function<void(const std::vector<std::size_t>& tags, const Error& error)> failed = {};
};

// Calls `visit(tags, plain)` once per distinct chunk, from several threads at once, with the tags
// of all requests for it in ascending order. Order of chunks is not defined. The first failure, of
// a get, a chunk or `visit`, ends it all and is thrown.
void fetch_chunks(
    ChunkReader& reader, std::vector<ChunkRequest> requests, const FetchOptions& options,
    const std::stop_token& stop,
    const std::function<void(const std::vector<std::size_t>& tags, ByteView plain)>& visit);

}  // namespace holdfast
