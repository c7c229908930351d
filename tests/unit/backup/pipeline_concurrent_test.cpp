// FilePipeline with several workers: order, vanished files, failures, an end that is asked for.
// Run under ThreadSanitizer in CI; the name says so.
#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "backup/file_pipeline.h"
#include "core/error.h"
#include "storage/folder_store.h"

namespace holdfast {
namespace {

class TextFile final : public SourceFile {
 public:
  explicit TextFile(const std::string& text) : text_(text) {}
  std::size_t read_at(std::uint64_t offset, MutableByteView out) override {
    if (offset >= text_.size()) return 0;
    const std::size_t count = std::min<std::size_t>(out.size(), text_.size() - offset);
    const ByteView bytes = as_bytes(text_);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, out.begin());
    return count;
  }

 private:
  const std::string& text_;
};

class TextFiles final : public FileOpener {
 public:
  std::unique_ptr<SourceFile> open(const std::string& path) override {
    ++opened;
    if (path == fails) throw Error(ErrorKind::kHost, "cannot read", {.object = path});
    const auto at = texts.find(path);
    return at == texts.end() ? nullptr : std::make_unique<TextFile>(at->second);
  }
  std::map<std::string, std::string> texts;
  std::string fails;
  std::atomic<int> opened = 0;
};

class FilePipelineConcurrent : public testing::Test {
 protected:
  FilePipelineConcurrent() {
    std::string folder = "/dev/shm/hf-pipeline-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = folder;
    create_folder_root(folder_ / "r");
    store_ = make_folder_store(folder_ / "r");
    data_.emplace(*store_, keys_, PackWriterOptions{.backup = backup_}, stop_.get_token());
    maps_packs_.emplace(*store_, keys_,
                        PackWriterOptions{.backup = backup_, .kind = names::PackKind::kMap},
                        stop_.get_token());
    sink_.emplace(*maps_packs_, registry_, backup_);
    section_.emplace(*sink_);
  }
  ~FilePipelineConcurrent() override { std::filesystem::remove_all(folder_); }

  SealContext context() {
    return {.files = files_,
            .data_packs = *data_,
            .maps = *sink_,
            .hasher = hasher_,
            .compression = {},
            .backup = backup_,
            .progress = null_progress()};
  }
  void add_all(FilePipeline& pipeline) {
    for (const auto& [path, text] : files_.texts) {
      pipeline.add_file({.path = path, .size = text.size()});
    }
  }
  // What reached the manifest, in order.
  std::vector<FileEntry> entries() {
    ManifestRoot root;
    root.pages[0] = section_->finish();
    data_->finish();
    maps_packs_->finish();
    ChunkReader chunks(*store_, keys_, backup_.cluster);
    // The addresses were interned in our registry: encode and decode as a manifest does.
    root.info.name = backup_;
    root.info.owners.emplace_back();
    const Bytes encoded = encode_manifest_root(root, registry_);
    Manifest manifest(decode_manifest_root(encoded, chunks.registry()), chunks);
    std::vector<FileEntry> found;
    manifest.for_each(Section::kData, [&](const FileEntry& entry) { found.push_back(entry); }, {});
    return found;
  }

  std::filesystem::path folder_;
  std::stop_source stop_;
  const BackupName backup_{"demo", {1, 42}, {"20261122T020000Z-3f9a"}};
  RepositoryKeys keys_;
  PageHasher hasher_{Secret()};
  TextFiles files_;
  PackRegistry registry_;
  std::unique_ptr<ObjectStore> store_;
  std::optional<PackWriter> data_, maps_packs_;
  std::optional<MapSink> sink_;
  std::optional<SectionWriter> section_;
};

TEST_F(FilePipelineConcurrent, EntriesReachTheManifestInOrderWhateverTheirSizes) {
  for (int i = 0; i < 6000; ++i) {
    files_.texts[fmt::format("f{:05}", i)] = std::string(i % 97 == 0 ? 400'000 : i % 50, 'x');
  }
  {
    FilePipeline pipeline(context(), 4, *section_, stop_.get_token());
    add_all(pipeline);
    pipeline.finish();
    EXPECT_EQ(pipeline.counts().files, 6000U);
  }
  const auto found = entries();
  ASSERT_EQ(found.size(), 6000U);
  auto expected = files_.texts.begin();
  for (const FileEntry& entry : found) {
    EXPECT_EQ(entry.path, expected->first);
    EXPECT_EQ(entry.size, expected->second.size());
    ++expected;
  }
}

TEST_F(FilePipelineConcurrent, VanishedFilesAreLeftOut) {
  for (int i = 0; i < 1000; ++i) files_.texts[fmt::format("f{:04}", i)] = "content";
  {
    FilePipeline pipeline(context(), 4, *section_, stop_.get_token());
    for (int i = 0; i < 1000; ++i) {
      pipeline.add_file({.path = fmt::format("f{:04}", i), .size = 7});
      pipeline.add_file({.path = fmt::format("f{:04}gone", i), .size = 7});
      pipeline.add_file({.path = fmt::format("f{:04}gone-too", i), .size = 300'000});
    }
    pipeline.finish();
    EXPECT_EQ(pipeline.counts().files, 1000U);
  }
  EXPECT_EQ(entries().size(), 1000U);
}

TEST_F(FilePipelineConcurrent, FailureOfAWorkerEndsItAndIsThrownAsItWas) {
  for (int i = 0; i < 20'000; ++i) {
    files_.texts[fmt::format("f{:05}", i)] = std::string(200'000 / (1 + i % 7), 'x');
  }
  files_.fails = "f00040";
  FilePipeline pipeline(context(), 3, *section_, stop_.get_token());
  try {
    add_all(pipeline);
    pipeline.finish();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kHost) << error.message();
    EXPECT_EQ(error.object(), "f00040");
  }
  // Queue and window are bounded, so most of it was never opened.
  EXPECT_LT(files_.opened, 10'000);
}

TEST_F(FilePipelineConcurrent, EndsSoonWhenItIsToldTo) {
  for (int i = 0; i < 5000; ++i) files_.texts[fmt::format("f{:05}", i)] = std::string(200'000, 'x');
  FilePipeline pipeline(context(), 3, *section_, stop_.get_token());
  stop_.request_stop();
  try {
    add_all(pipeline);
    pipeline.finish();
    FAIL() << "it went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  }
  EXPECT_LT(files_.opened, 100);
}

// Time that passes only by sleeping.
class SleepingPacer final : public Pacer {
 public:
  TimePoint now() override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  void sleep(Duration duration, const std::stop_token&) override {
    const std::lock_guard lock(mutex_);
    now_ += duration;
  }

 private:
  std::mutex mutex_;
  TimePoint now_{std::chrono::hours(1)};
};

// Small files share chunks and large ones are read in pieces: both count.
TEST_F(FilePipelineConcurrent, RateHoldsForEveryByteThatIsRead) {
  std::uint64_t bytes = 0;
  for (int i = 0; i < 200; ++i) {
    const std::size_t size = i % 10 == 0 ? 400'000 : 1000;
    files_.texts[fmt::format("f{:03}", i)] = std::string(size, 'x');
    bytes += size;
  }
  SleepingPacer pacer;
  const auto start = pacer.now();
  RateLimiter rate(RateLimit{100'000}, pacer);
  SealContext limited = context();
  limited.rate = &rate;
  {
    FilePipeline pipeline(limited, 1, *section_, stop_.get_token());
    add_all(pipeline);
    pipeline.finish();
  }
  EXPECT_EQ(entries().size(), 200U);
  const double seconds = std::chrono::duration<double>(pacer.now() - start).count();
  const double fair = static_cast<double>(bytes) / 100'000;
  // The burst goes at once, and the last read is not waited for.
  EXPECT_GT(seconds, 0.8 * fair);
  EXPECT_LT(seconds, 1.1 * fair);
}

}  // namespace
}  // namespace holdfast
