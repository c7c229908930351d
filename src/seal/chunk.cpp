#include "seal/chunk.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "seal/aead.h"
#include "seal/hash.h"

namespace holdfast {
namespace {

static_assert(kChunkTagBytes == kAeadTagBytes && kChunkTagBytes == sizeof(Checksum128));

// Where the fields of the header stand.
constexpr std::size_t kSealedLengthAt = 0;
constexpr std::size_t kPlainLengthAt = 4;
constexpr std::size_t kCompressionAt = 8;
constexpr std::size_t kZeroByteAt = 9;
constexpr std::size_t kZeroWordAt = 10;
constexpr std::size_t kOrdinalAt = 12;

constexpr std::string_view kKeyPurpose = "holdfast pack key v0";

[[noreturn]] void damaged(const char* why) {
  throw Error(ErrorKind::kDamage, std::string("a chunk is damaged: ") + why);
}

std::array<std::byte, kAeadNonceBytes> nonce_of(std::uint32_t ordinal) {
  std::array<std::byte, kAeadNonceBytes> nonce{};
  store_le(nonce.data(), ordinal);
  return nonce;
}

// The parts of one sealed chunk.
template <class View>
struct Parts {
  View header, payload, tag;
  explicit Parts(View chunk)
      : header(chunk.first(kChunkHeaderBytes)),
        payload(chunk.subspan(kChunkHeaderBytes, chunk.size() - kChunkOverheadBytes)),
        tag(chunk.last(kChunkTagBytes)) {}
};

// A compressed payload is shorter than what it was made from, a stored one is as long.
bool lengths_fit(Compression compression, std::size_t payload, std::size_t plain) {
  return compression == Compression::kNone ? payload == plain : payload < plain;
}

}  // namespace

Salt random_salt() {
  Salt salt;
  fill_random(salt);
  return salt;
}

ChunkKey::ChunkKey(Cipher cipher, const Secret& data_key, const Salt& salt,
                   std::string_view bound_to)
    : cipher_(cipher) {
  if (cipher == Cipher::kAes256Gcm) {
    key_ = derive(data_key, salt, std::string(kKeyPurpose).append(bound_to));
  }
  seed_ = load_le<std::uint64_t>(salt.data());
}

void ChunkKey::seal(std::uint32_t ordinal, std::uint32_t plain_length, Compression compression,
                    ByteView payload, MutableByteView out) const {
  HF_INVARIANT(plain_length <= kMaxChunkPlainBytes);
  HF_INVARIANT(lengths_fit(compression, payload.size(), plain_length));
  HF_INVARIANT(out.size() == payload.size() + kChunkOverheadBytes);
  const Parts parts(out);
  std::ranges::fill(parts.header, std::byte{0});
  store_le(&parts.header[kSealedLengthAt], static_cast<std::uint32_t>(out.size()));
  store_le(&parts.header[kPlainLengthAt], plain_length);
  parts.header[kCompressionAt] = static_cast<std::byte>(compression);
  store_le(&parts.header[kOrdinalAt], ordinal);
  if (cipher_ == Cipher::kAes256Gcm) {
    aead_seal(
        {.key = key_, .nonce = nonce_of(ordinal), .additional = parts.header, .text = payload},
        parts.payload, parts.tag);
    return;
  }
  std::ranges::copy(payload, parts.payload.begin());
  const Checksum128 checksum =
      xxh3_128(out.first(out.size() - kChunkTagBytes), ChecksumSeed{seed_});
  std::ranges::copy(checksum, parts.tag.begin());
}

ChunkKey::Opened ChunkKey::open(MutableByteView sealed) const {
  if (sealed.size() < kChunkOverheadBytes) damaged("it is too short");
  const Parts parts(sealed);
  if (sealed_length(parts.header, sealed.size()) != sealed.size()) damaged("its length is wrong");
  const auto ordinal = load_le<std::uint32_t>(&parts.header[kOrdinalAt]);
  if (!authentic(ordinal, sealed)) damaged("its content does not match its tag");

  // From here on the bytes are what a Holdfast wrote, but which one is not known.
  const auto plain_length = load_le<std::uint32_t>(&parts.header[kPlainLengthAt]);
  const auto compression = std::to_integer<std::uint8_t>(parts.header[kCompressionAt]);
  const bool known = compression <= static_cast<std::uint8_t>(Compression::kGzip) &&
                     parts.header[kZeroByteAt] == std::byte{0} &&
                     load_le<std::uint16_t>(&parts.header[kZeroWordAt]) == 0;
  if (!known) damaged("its header is not of this format");
  const auto as = static_cast<Compression>(compression);
  if (plain_length > kMaxChunkPlainBytes || !lengths_fit(as, parts.payload.size(), plain_length)) {
    damaged("its lengths do not fit each other");
  }
  return {ordinal, plain_length, as, parts.payload};
}

bool ChunkKey::authentic(std::uint32_t ordinal, MutableByteView sealed) const {
  const Parts parts(sealed);
  if (cipher_ == Cipher::kAes256Gcm) {
    return aead_open({.key = key_,
                      .nonce = nonce_of(ordinal),
                      .additional = parts.header,
                      .text = parts.payload},
                     parts.tag, parts.payload);
  }
  const Checksum128 checksum =
      xxh3_128(sealed.first(sealed.size() - kChunkTagBytes), ChecksumSeed{seed_});
  return std::ranges::equal(checksum, parts.tag);
}

std::uint32_t sealed_length(ByteView header, std::size_t limit) {
  if (header.size() < kChunkHeaderBytes) damaged("it ends within its header");
  const auto length = load_le<std::uint32_t>(&header[kSealedLengthAt]);
  if (length < kChunkOverheadBytes || length > limit ||
      length > kMaxChunkPlainBytes + kChunkOverheadBytes) {
    damaged("its header gives an impossible length");
  }
  return length;
}

}  // namespace holdfast
