#include "wal/get_spool.h"

#include <algorithm>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault_point.h"
#include "repository/json_text.h"
#include "wal/get_destination.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxGetEntryBytes = std::size_t{64} << 10U;
constexpr std::size_t kPieceBytes = std::size_t{256} << 10U;
constexpr std::string_view kGetEntrySuffix = ".entry", kFetchingSuffix = ".fetching",
                           kRequestFile = "request";

Json to_json(const GetBinding& binding) {
  return {{"cluster", binding.cluster},
          {"data_directory", binding.data_directory.string()},
          {"line", binding.line},
          {"repositories", binding.repositories}};
}

std::string folder_name(const GetBinding& binding) {
  return to_hex(xxh3_128(as_bytes(to_json(binding).dump())));
}

std::optional<std::chrono::seconds> entry_age(const fs::path& path) {
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  if (error) return std::nullopt;
  return std::chrono::floor<std::chrono::seconds>(fs::file_time_type::clock::now() - written);
}

bool is_fresh(const fs::path& path, std::chrono::seconds limit) {
  const auto age = entry_age(path);
  // A clock that was set back makes an entry of the future.
  return age && *age >= std::chrono::seconds(-1) && *age <= limit;
}

// Hashes the file as it is on disk; with `copy`, writes what was hashed there.
Checksum128 hash_file(const FileDescriptor& file, std::uint64_t bytes, const fs::path& path,
                      GetDestination* copy) {
  Buffer buffer(std::min<std::uint64_t>(std::max<std::uint64_t>(bytes, 1), kPieceBytes));
  WalContentHash hash;
  for (std::uint64_t at = 0; at < bytes;) {
    const auto piece = buffer.span().first(std::min<std::uint64_t>(bytes - at, buffer.size()));
    if (read_at(file.get(), at, piece, path.native()) != piece.size()) {
      throw Error(ErrorKind::kHost, "the file became shorter while it was read",
                  {.object = path.string()});
    }
    hash.add(piece);
    if (copy != nullptr) copy->write(piece);
    at += piece.size();
  }
  return hash.result();
}

bool rename_within_file_system(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return true;
  if (errno == EXDEV) return false;
  throw_file_error(errno, "rename", from.native());
}

}  // namespace

GetSpool::GetSpool(const fs::path& state_directory, const GetBinding& binding)
    : binding_(binding),
      root_(state_directory / "wal" / "get"),
      folder_(root_ / folder_name(binding)) {}

void GetSpool::make_folder() const {
  make_folders(folder_, 0700);
}

void GetSpool::remove_others() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root_, ignored)) {
    if (entry.path() != folder_) fs::remove_all(entry.path(), ignored);
  }
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    if (entry.path().filename() == kRequestFile) continue;
    const std::string name = entry.path().filename().string();
    const std::string file = name.ends_with(kGetEntrySuffix)
                                 ? name.substr(0, name.size() - kGetEntrySuffix.size())
                                 : name;
    if (!has(file)) fs::remove(entry.path(), ignored);
  }
}

void GetSpool::remove_all() const {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

fs::path GetSpool::entry_path(const std::string& file) const {
  return folder_ / (file + std::string(kGetEntrySuffix));
}

std::optional<GetEntry> GetSpool::read_entry(const std::string& file) const {
  const fs::path path = entry_path(file);
  const auto text = read_file(path, kMaxGetEntryBytes);
  if (!text || !is_fresh(path, kGetEntryLifetime)) return std::nullopt;
  try {
    const Json json = parse_json<Json>(*text);
    const Bytes content = from_hex(json.at("content_xxh3_128").get<std::string>());
    GetEntry entry{.file = json.at("file"), .bytes = json.at("bytes")};
    if (json.at("binding") != to_json(binding_) || entry.file != file ||
        content.size() != entry.content.size()) {
      return std::nullopt;
    }
    std::ranges::copy(content, entry.content.begin());
    return entry;
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool GetSpool::take(const WalFileName& file, const fs::path& destination) const {
  const auto entry = read_entry(file.text);
  if (!entry) return false;
  const fs::path path = content_path(file.text);
  const auto content = open_to_read(path);
  struct stat info{};
  if (!content || ::fstat(content->get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<std::uint64_t>(info.st_size) != entry->bytes ||
      hash_file(*content, entry->bytes, path, nullptr) != entry->content) {
    remove(file.text);
    return false;
  }
  fault_point("get.from_spool");
  if (!rename_within_file_system(path, destination)) {
    GetDestination copy(destination);
    if (hash_file(*content, entry->bytes, path, &copy) != entry->content) return false;
    copy.publish(entry->bytes);
  }
  remove(file.text);
  return true;
}

void GetSpool::publish(const GetEntry& entry) const {
  const Json json{{"binding", to_json(binding_)},
                  {"file", entry.file},
                  {"bytes", entry.bytes},
                  {"content_xxh3_128", to_hex(entry.content)}};
  publish_unsynced(entry_path(entry.file), as_bytes(json.dump()), 0600);
}

bool GetSpool::has(const std::string& file) const {
  return is_fresh(entry_path(file), std::chrono::seconds(kGetEntryLifetime) * 3 / 4);
}

void GetSpool::remove(const std::string& file) const {
  std::error_code ignored;
  fs::remove(entry_path(file), ignored);
  fs::remove(content_path(file), ignored);
}

std::vector<std::string> GetSpool::files() const {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kGetEntrySuffix)) continue;
    found.push_back(name.substr(0, name.size() - kGetEntrySuffix.size()));
  }
  return found;
}

void GetSpool::note_request(const WalFileName& file) const {
  publish_unsynced(folder_ / kRequestFile, as_bytes(file.text), 0600);
}

std::optional<GetSpool::Request> GetSpool::last_request() const {
  const fs::path path = folder_ / kRequestFile;
  const auto file = open_to_read(path);
  struct stat info{};
  if (!file || ::fstat(file->get(), &info) != 0) return std::nullopt;
  std::array<std::byte, 64> text{};
  const std::size_t length = read_at(file->get(), 0, text, path.native());
  const auto at =
      std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
  using SystemClock = std::chrono::system_clock;
  return Request{
      .file = std::string(as_text(ByteView(text).first(length))),
      .at = SystemClock::time_point(std::chrono::duration_cast<SystemClock::duration>(at)),
      .number = static_cast<std::uint64_t>(at.count()) ^ (std::uint64_t{info.st_ino} << 1U)};
}

bool GetSpool::others_ask_after(std::chrono::system_clock::time_point time) const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root_, ignored)) {
    struct stat info{};
    if (entry.path() == folder_ || ::stat((entry.path() / kRequestFile).c_str(), &info) != 0) {
      continue;
    }
    if (std::chrono::system_clock::from_time_t(info.st_mtim.tv_sec) > time) return true;
  }
  return false;
}

GetSpool::Fetching::~Fetching() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove(path_, ignored);
}

std::optional<GetSpool::Fetching> GetSpool::begin_fetching(const std::string& file) const {
  fs::path path = folder_ / (file + std::string(kFetchingSuffix));
  auto lock = FileLock::try_acquire(path);
  if (!lock) return std::nullopt;
  return Fetching(std::move(*lock), std::move(path));
}

bool GetSpool::is_being_fetched(const std::string& file) const {
  const fs::path path = folder_ / (file + std::string(kFetchingSuffix));
  std::error_code ignored;
  return fs::exists(path, ignored) && !FileLock::try_acquire(path);
}

fs::path get_helper_lock(const fs::path& state_directory) {
  return state_directory / "wal" / "get.lock";
}

}  // namespace holdfast
