#include "support/s3_server.h"

#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>
#include <unistd.h>

#include "support/process.h"
#include "support/surroundings.h"
#include "support/test_http_server.h"

namespace holdfast::test {
namespace {

constexpr std::uint16_t kMonitorPorts = 60;  // as ceph-start wants them
constexpr int kStartsMax = 3;                // somebody may take a free port before us

std::string script(std::string_view name) {
  return testbed_folder() / name;
}

}  // namespace

std::optional<std::string> S3Server::why_unavailable() {
  for (const char* program : {"ceph-mon", "ceph-osd", "radosgw"}) {
    if (::access(fmt::format("/usr/bin/{}", program).c_str(), X_OK) != 0) {
      return fmt::format("{} is not installed", program);
    }
  }
  return std::nullopt;
}

S3Server::S3Server(const S3ServerOptions& options)
    : options_(options), access_key_("holdfasttest"), secret_key_("holdfasttestsecret0") {
  write_text(folder_ / "access", access_key_);
  write_text(folder_ / "secret", secret_key_);
  for (const char* file : {"access", "secret"}) {
    std::filesystem::permissions(folder_ / file, std::filesystem::perms::owner_read);
  }
  for (int attempt = 1;; ++attempt) {
    try {
      start(Start::kFresh);
      return;
    } catch (const std::runtime_error&) {
      if (attempt == kStartsMax) throw;
    }
  }
}

S3Server::~S3Server() {
  try {
    run({.arguments = {script("ceph-stop"), "--dir", (folder_ / "ceph").string()}});
  } catch (const std::runtime_error&) {  // the folder goes all the same
  }
}

void S3Server::start(Start how) {
  const bool resume = how == Start::kResume;
  std::vector<std::string> command{script("ceph-start"), "--dir", (folder_ / "ceph").string()};
  if (!resume) {
    port_ = free_port();
    monitor_port_ = free_port(kMonitorPorts);
    if (options_.tls) tls_port_ = free_port();
  }
  const auto add = [&command](const std::string& name, const std::string& value) {
    command.insert(command.end(), {name, value});
  };
  add("--port", std::to_string(port_));
  add("--mon-port", std::to_string(monitor_port_));
  add("--store", options_.disk == S3Disk::kMemory ? "memstore" : "bluestore");
  add("--owner", std::to_string(::getpid()));  // a test that crashes leaves no daemon behind
  add("--access-key", access_key_);
  add("--secret-key", secret_key_);
  if (options_.tls) add("--tls-port", std::to_string(tls_port_));
  if (!options_.storage_class.empty()) add("--storage-class", options_.storage_class);
  if (options_.lifecycle_day_seconds > 0) {
    add("--lc-day", std::to_string(options_.lifecycle_day_seconds));
  }
  if (resume) command.push_back("--resume");
  if (!resume) std::filesystem::remove_all(folder_ / "ceph");
  run_or_throw({.arguments = command, .timeout = std::chrono::minutes{3}});
  endpoint_ = fmt::format("http://127.0.0.1:{}", port_);
  if (options_.tls) {
    tls_endpoint_ = fmt::format("https://127.0.0.1:{}", tls_port_);
    ca_file_ = (folder_ / "ceph/ca.crt").string();
  }
}

void S3Server::kill_and_restart() {
  run_or_throw({.arguments = {script("ceph-stop"), "--dir", (folder_ / "ceph").string(), "--keep",
                              "--kill"}});
  start(Start::kResume);
}

std::string S3Server::virtual_host_endpoint() const {
  return fmt::format("http://s3.localhost:{}", port_);
}

std::string S3Server::virtual_host_tls_endpoint() const {
  return fmt::format("https://s3.localhost:{}", tls_port_);
}

std::string S3Server::access_key_file() const {
  return (folder_ / "access").string();
}
std::string S3Server::secret_key_file() const {
  return (folder_ / "secret").string();
}

S3Options S3Server::store_options(const std::string& bucket, const std::string& prefix) const {
  S3Options options;
  options.bucket = bucket;
  options.prefix = prefix;
  options.region = "us-east-1";
  options.endpoint = endpoint_;
  options.path_style = true;
  options.access_key_file = access_key_file();
  options.secret_key_file = secret_key_file();
  return options;
}

HttpResponse S3Server::send(const std::string& bucket, const S3Request& request) const {
  S3Client client(store_options(bucket), S3Surroundings{});
  return client.send(request, std::stop_token());
}

void S3Server::create_bucket(const std::string& bucket, ObjectLock lock) const {
  S3Request request{.method = "PUT"};
  if (lock == ObjectLock::kOn) request.headers = {{"x-amz-bucket-object-lock-enabled", "true"}};
  const HttpResponse response = send(bucket, request);
  if (response.status != 200) {
    throw std::runtime_error(
        fmt::format("bucket {}: HTTP {} {}", bucket, response.status, as_text(response.body)));
  }
}

void S3Server::set_policy(const std::string& bucket, const std::string& json) const {
  const HttpResponse response =
      send(bucket, {.method = "PUT", .query = {{"policy", ""}}, .body = as_bytes(json)});
  if (response.status / 100 != 2) {
    throw std::runtime_error(
        fmt::format("policy of {}: HTTP {} {}", bucket, response.status, as_text(response.body)));
  }
}

}  // namespace holdfast::test
