#include "suite.h"

#include <algorithm>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "seal/key_slot.h"
#include "storage/s3_store.h"
#include "support/s3_server.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<S3Server> server;
int buckets = 0;

class EndOfServer final : public testing::Environment {
 public:
  void TearDown() override { server.reset(); }
};
[[maybe_unused]] const testing::Environment* const kEndOfServer =
    testing::AddGlobalTestEnvironment(new EndOfServer);

std::string bucket_of(const std::string& url) {
  return url.substr(std::string("s3://").size());
}

// They name the repository and the moment of the restore.
const std::set<std::string> kOfTheRestore{"postgresql.auto.conf", "holdfast.restore"};

std::set<std::string> files_in(const fs::path& folder) {
  std::set<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (entry.is_regular_file() && !kOfTheRestore.contains(name)) files.insert(name);
  }
  return files;
}

}  // namespace

S3Server& shared_s3_server() {
  if (!server) server = std::make_unique<S3Server>(S3ServerOptions{.storage_class = "GLACIER"});
  return *server;
}

CopyingCluster::CopyingCluster(const Place& first, const std::vector<Place>& others) {
  fs::permissions(folder_.path(),
                  fs::perms::owner_all | fs::perms::others_exec | fs::perms::group_exec);
  places_ = {first};
  places_.insert(places_.end(), others.begin(), others.end());
  ArchivedOptions options;
  for (const Place& place : places_) {
    if (place.on_s3) {
      const std::string bucket = fmt::format("copies{}", ++buckets);
      shared_s3_server().create_bucket(bucket, place.lock);
      options.program.s3 = &shared_s3_server();
      urls_.push_back("s3://" + bucket);
    } else {
      const fs::path root = folder_ / place.name;
      fs::create_directory(root);
      give_to_server_user(root);
      urls_.push_back("file://" + (root / "repository").string());
    }
    write_text(key_of(place.name), format_key_file(Secret::random()));
    give_to_server_user(key_of(place.name));
    fs::permissions(key_of(place.name), fs::perms::owner_read | fs::perms::owner_write);
  }
  options.program.url = urls_[0];
  for (const std::string& line : lines_of(first, "")) {
    options.program.repository_lines.push_back(line);
  }
  if (options.program.s3 != nullptr && !first.on_s3) {
    ADD_FAILURE() << "the first repository must be on S3 where another one is";
  }
  archived_.emplace(options);
  auto& lines = holdfast().settings().repository_lines;
  for (std::size_t i = 1; i < places_.size(); ++i) {
    for (const std::string& line : lines_of(places_[i], urls_[i])) lines.push_back(line);
    lines.push_back("    wal: false");
  }
  for (std::size_t i = 1; i < places_.size(); ++i) {
    holdfast().must({"--repo", places_[i].name, "init"});
  }
  server().sql("create table numbers (n serial primary key, t text)");
}

std::string CopyingCluster::key_of(const std::string& repository) const {
  return (folder_ / (repository + ".key")).string();
}

// Of the first repository, whose beginning the program's own support writes, only the rest.
std::vector<std::string> CopyingCluster::lines_of(const Place& place, const std::string& url) {
  std::vector<std::string> lines;
  if (!url.empty()) {
    lines = {"  - name: " + place.name, "    url: " + url};
    if (place.on_s3) {
      lines.push_back(fmt::format("    endpoint: {}", shared_s3_server().endpoint()));
      lines.push_back("    region: us-east-1");
      lines.push_back("    path_style: true");
      const fs::path& keys = archived_->holdfast().folder();
      lines.push_back(fmt::format("    credentials: {{access_key_file: {}, secret_key_file: {}}}",
                                  (keys / "access").string(), (keys / "secret").string()));
    }
  }
  // Ceph 16 overwrites in versioned buckets whatever it is asked.
  if (place.lock == ObjectLock::kOn) lines.push_back("    exclusive_writer: true");
  if (place.encryption == Encryption::kKeyFile) {
    lines.push_back(fmt::format("    encryption: {{key_file: {}}}", key_of(place.name)));
  }
  return lines;
}

void CopyingCluster::write_rows(int count) {
  server().sql(fmt::format(
      "insert into numbers (t) select md5(g::text) from generate_series(1, {}) g", count));
  rows_ += count;
}

const std::string& CopyingCluster::url_of(const std::string& repository) const {
  const auto place = std::ranges::find(places_, repository, &Place::name);
  return urls_.at(static_cast<std::size_t>(place - places_.begin()));
}

void CopyingCluster::destroy(const std::string& repository) {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].name != repository) continue;
    if (!places_[i].on_s3) {
      fs::remove_all(urls_[i].substr(std::string("file://").size()));
      return;
    }
    const auto store = make_s3_store(shared_s3_server().store_options(bucket_of(urls_[i])));
    std::vector<std::string> names;
    for_each_object(*store, "", {},
                    [&](const ObjectInfo& object) { names.push_back(object.name); });
    for (const std::string& name : names) store->remove(name, {});
    return;
  }
  ADD_FAILURE() << "no repository " << repository;
}

void CopyingCluster::only(const std::string& repository) {
  ProgramSettings& settings = holdfast().settings();
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].name != repository) continue;
    settings.url = urls_[i];
    if (!places_[i].on_s3) settings.s3 = nullptr;
    settings.repository_lines = lines_of(places_[i], "");
  }
}

std::vector<std::string> file_differences(const fs::path& expected, const fs::path& found) {
  std::vector<std::string> lines;
  const std::set<std::string> files = files_in(expected);
  for (const std::string& name : files_in(found)) {
    if (!files.contains(name)) lines.push_back("only in the second: " + name);
  }
  for (const std::string& name : files) {
    if (!fs::exists(found / name)) {
      lines.push_back("only in the first: " + name);
    } else if (read_text(expected / name) != read_text(found / name)) {
      lines.push_back("another content: " + name);
    }
  }
  return lines;
}

}  // namespace holdfast::test
