#pragma once
// A real S3 server for tests: Ceph's RADOS Gateway, started by tools/testbed/ceph-start on free
// ports and ended when the object goes. Takes two to five seconds.
//
// Throws std::runtime_error when it cannot be started; why_unavailable() tells beforehand whether
// its programs are installed, so that a test can be skipped with a reason.
// Threads: start and restart from one; everything else from any.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "storage/s3_client.h"
#include "support/temp_folder.h"

namespace holdfast::test {

enum class S3Disk { kMemory, kFile };
enum class ObjectLock { kOff, kOn };

struct S3ServerOptions {
  S3Disk disk = S3Disk::kMemory;
  bool tls = false;
  std::string storage_class = "STANDARD_IA";  // beside STANDARD; empty: none
  int lifecycle_day_seconds = 0;              // 0: a real day
};

class S3Server {
 public:
  explicit S3Server(const S3ServerOptions& options = {});
  ~S3Server();
  S3Server(const S3Server&) = delete;
  S3Server& operator=(const S3Server&) = delete;

  // Why no server can be started here; nullopt when one can.
  static std::optional<std::string> why_unavailable();

  std::string endpoint() const { return endpoint_; }          // "http://127.0.0.1:PORT"
  std::string tls_endpoint() const { return tls_endpoint_; }  // "https://127.0.0.1:PORT"
  std::string ca_file() const { return ca_file_; }
  // The same for virtual-host style: buckets are BUCKET.s3.localhost.
  std::string virtual_host_endpoint() const;
  std::string virtual_host_tls_endpoint() const;
  std::string access_key() const { return access_key_; }
  std::string secret_key() const { return secret_key_; }
  std::string access_key_file() const;  // mode 0600, readable by whoever runs the test
  std::string secret_key_file() const;

  // Options of a store on this server: plain HTTP, path style, keys from the files.
  S3Options store_options(const std::string& bucket, const std::string& prefix = "") const;

  void create_bucket(const std::string& bucket, ObjectLock lock = ObjectLock::kOff) const;
  void set_policy(const std::string& bucket, const std::string& json) const;
  // Any signed request of the server's owner; key empty: the bucket itself.
  HttpResponse send(const std::string& bucket, const S3Request& request) const;

  // Kills every daemon as a power cut would (S3Disk::kFile keeps what was stored), starts again.
  void kill_and_restart();

 private:
  enum class Start { kFresh, kResume };
  void start(Start how);

  const S3ServerOptions options_;
  TempFolder folder_;
  std::uint16_t port_ = 0, tls_port_ = 0, monitor_port_ = 0;
  std::string endpoint_, tls_endpoint_, ca_file_, access_key_, secret_key_;
};

}  // namespace holdfast::test
