#include "on_s3.h"

#include <memory>

#include "storage/s3_store.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<S3Server> shared;
int buckets = 0;

class EndOfServer final : public testing::Environment {
 public:
  void TearDown() override { shared.reset(); }
};
[[maybe_unused]] const testing::Environment* const kEndOfServer =
    testing::AddGlobalTestEnvironment(new EndOfServer);

}  // namespace

void WalOnS3::SetUp() {
  if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
  if (!shared) shared = std::make_unique<S3Server>();
  bucket_ = fmt::format("wal{}", ++buckets);
  shared->create_bucket(bucket_);
}

const S3Server& WalOnS3::s3() const {
  return *shared;
}

ArchivedCluster& WalOnS3::begin(ArchivedOptions options) {
  options.program.url = "s3://" + bucket_;
  options.program.s3 = shared.get();
  options.program.encryption = Encryption::kKeyFile;
  archived_.emplace(options);
  server().sql("create table kept (n int)");
  holdfast().backup();
  return *archived_;
}

std::string WalOnS3::keep_in_a_segment(int n) {
  keep(n);
  archived_->archive();
  return server().sql("select last_archived_wal from pg_stat_archiver");
}

std::string WalOnS3::rows_of(const PostgresCluster& cluster) {
  return cluster.sql("select string_agg(n::text, ' ' order by n) from kept");
}

std::string WalOnS3::rows_after(const std::vector<std::string>& options) {
  const fs::path target = holdfast().new_path();
  holdfast().restore(target, options);
  return rows_of(start_recovered(target));
}

std::unique_ptr<ObjectStore> WalOnS3::store() const {
  return make_s3_store(shared->store_options(bucket_));
}

std::string WalOnS3::object_of(const std::string& file) const {
  std::string found;
  for_each_object(*store(), "", {}, [&](const ObjectInfo& object) {
    if (object.name.ends_with("/" + file)) found = object.name;
  });
  EXPECT_FALSE(found.empty()) << file;
  return found;
}

void WalOnS3::deny(const std::string& actions, const std::string& object) const {
  const std::string bucket = object.empty() ? fmt::format(R"("arn:aws:s3:::{}",)", bucket_) : "";
  shared->set_policy(bucket_, fmt::format(R"({{"Version":"2012-10-17","Statement":[{{
    "Effect":"Deny","Principal":"*","Action":[{0}],
    "Resource":[{1}"arn:aws:s3:::{2}/{3}"]}}]}})",
                                          actions, bucket, bucket_, object.empty() ? "*" : object));
}

}  // namespace holdfast::test
