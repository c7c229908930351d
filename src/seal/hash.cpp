#include "seal/hash.h"

#define XXH_STATIC_LINKING_ONLY  // for the size of a state
#include <xxhash.h>
#if defined(__x86_64__)
#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>
#endif

#include <cstring>

#include <fmt/format.h>

#include "seal/evp.h"

namespace holdfast {
namespace {

template <std::size_t Size>
std::array<std::byte, Size> digest(const EVP_MD* algorithm, ByteView bytes) {
  std::array<std::byte, Size> out{};
  unsigned int length = 0;
  const bool done = EVP_Digest(bytes.data(), bytes.size(), evp::data(MutableByteView(out)), &length,
                               algorithm, nullptr) == 1;
  evp::require(done && length == Size, "compute a digest");
  return out;
}

const EVP_MD* usable(const evp::Owned<EVP_MD>& fetched, const char* what) {
  evp::require(fetched != nullptr, what);
  return fetched.get();
}

#if defined(__x86_64__)
// The library's baseline is SSE2; its dispatching entry points choose AVX2 or AVX-512 at run time.
// They fill the table of their choice on first use without a lock, so the first use of each kind
// happens here, under the lock of a local static, and before any other.
bool choose_instruction_set() {
  static constexpr std::array<char, 1024> kLong{};
  alignas(64) XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update_dispatch(&state, kLong.data(), kLong.size());
  XXH3_64bits_withSecret_dispatch(kLong.data(), kLong.size(), kLong.data(), 192);
  XXH3_128bits_withSeed_dispatch(kLong.data(), kLong.size(), 1);
  return true;
}

XXH128_hash_t hash_128(ByteView bytes, std::uint64_t seed) {
  [[maybe_unused]] static const bool chosen = choose_instruction_set();
  return XXH3_128bits_withSeed_dispatch(bytes.data(), bytes.size(), seed);
}

void add_to(XXH3_state_t& state, ByteView piece) {
  [[maybe_unused]] static const bool chosen = choose_instruction_set();
  XXH3_128bits_update_dispatch(&state, piece.data(), piece.size());
}

std::uint64_t hash_64(ByteView bytes, ByteView secret) {
  [[maybe_unused]] static const bool chosen = choose_instruction_set();
  return XXH3_64bits_withSecret_dispatch(bytes.data(), bytes.size(), secret.data(), secret.size());
}
#else
XXH128_hash_t hash_128(ByteView bytes, std::uint64_t seed) {
  return XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
}

void add_to(XXH3_state_t& state, ByteView piece) {
  XXH3_128bits_update(&state, piece.data(), piece.size());
}

std::uint64_t hash_64(ByteView bytes, ByteView secret) {
  return XXH3_64bits_withSecret(bytes.data(), bytes.size(), secret.data(), secret.size());
}
#endif

Checksum128 canonical(XXH128_hash_t hash) {
  XXH128_canonical_t form;
  XXH128_canonicalFromHash(&form, hash);
  Checksum128 out{};
  static_assert(sizeof form.digest == sizeof out);
  std::memcpy(out.data(), form.digest, sizeof out);
  return out;
}

}  // namespace

Sha256 sha256(ByteView bytes) {
  static const evp::Owned<EVP_MD> algorithm(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  return digest<32>(usable(algorithm, "compute SHA-256"), bytes);
}

std::array<std::byte, 16> md5(ByteView bytes) {
  static const evp::Owned<EVP_MD> algorithm(EVP_MD_fetch(nullptr, "MD5", nullptr));
  return digest<16>(usable(algorithm, "compute MD5"), bytes);
}

Checksum128 xxh3_128(ByteView bytes) {
  return xxh3_128(bytes, ChecksumSeed{0});
}

Checksum128 xxh3_128(ByteView bytes, ChecksumSeed seed) {
  return canonical(hash_128(bytes, seed.value));
}

struct Checksum128Stream::State {
  alignas(64) XXH3_state_t xxh3;  // as the library asks for
};

Checksum128Stream::Checksum128Stream() : state_(std::make_unique<State>()) {
  reset();
}

Checksum128Stream::~Checksum128Stream() = default;
Checksum128Stream::Checksum128Stream(Checksum128Stream&&) noexcept = default;
Checksum128Stream& Checksum128Stream::operator=(Checksum128Stream&&) noexcept = default;

void Checksum128Stream::reset() {
  XXH3_128bits_reset(&state_->xxh3);
}

void Checksum128Stream::add(ByteView piece) {
  add_to(state_->xxh3, piece);
}

Checksum128 Checksum128Stream::result() const {
  return canonical(XXH3_128bits_digest(&state_->xxh3));
}

PageHasher::PageHasher(const Secret& key) {
  hkdf_sha256({.key = key.view(), .salt = {}, .info = "holdfast page hash v0"}, secret_);
}

PageHasher::~PageHasher() {
  wipe(secret_);
}

std::string PageHasher::key_name() const {
  return fmt::format("{:016x}", (*this)(as_bytes("holdfast page hash key name v0")));
}

std::uint64_t PageHasher::operator()(ByteView page) const {
  return hash_64(page, secret_);
}

bool is_zero(ByteView bytes) {
  if (bytes.empty()) return true;
  // All zero exactly if the first byte is zero and each byte equals its neighbour; memcmp is the
  // fastest loop over memory that the C library has for this processor.
  return bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace holdfast
