#pragma once
// Creates the files of a restore and writes their blocks.
//
// A fresh file is created sparse at its final size, and blocks of zeros are never written into it.
// When an unfinished restore is resumed, blocks that are there already are recognised by their hash
// and not fetched again.
// Writing: runs of kRunBytes go straight to the disk (O_DIRECT) on file systems that do this well,
// into room that was reserved first, so that several threads write into one file at once. The page
// cache would be a detour for data that nobody reads soon: copying into it costs more than
// decompression, threads wait for each other's lock on the file, and the disk stands idle until the
// sync at the end. The other file systems, and short runs, get ordinary writes, and long ones of
// those are sent to the disk at once (sync_file_range).
// Durability: none here; the restore syncs whole file systems once, at its end, which covers the
// disk's own cache and the metadata of direct writes too.
// Errors: kHost with the path. Threads: any number, each with its own FileWriter.

#include <filesystem>
#include <string>

#include "repository/manifest.h"
#include "seal/hash.h"
#include "system/direct_write.h"
#include "system/files.h"

namespace holdfast {

// Gives restored files to their owners: by name, else by number. Only root may; for everybody else
// files belong to the caller, which is what PostgreSQL needs when that is its user.
class Ownership {
 public:
  explicit Ownership(const std::vector<FileOwner>& owners);
  void give(int fd, std::uint32_t owner, const std::string& path) const;
  void give_path(const std::filesystem::path& path, std::uint32_t owner) const;

 private:
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ids_;
};

// As much as goes to the disk at a time: less leaves fast disks idle between two requests.
inline constexpr std::size_t kRunBytes = std::size_t{1} << 20U;

// Creates a file at its size (or brings an existing one to it), with mode and owner.
void create_file(const std::filesystem::path& path, const FileEntry& entry,
                 const Ownership& ownership);

// Makes a range of a file zero: a hole where the file system has holes.
void write_zeros(const std::filesystem::path& path, std::uint64_t offset, std::uint64_t bytes);

// Reserves disk space for a range that will be written, which reads as zeros until then. Does
// nothing where direct writes are not used: compressing file systems would take more space for it.
// A full disk is an error here already, before anything was fetched for the range.
void reserve_range(const std::filesystem::path& path, std::uint64_t offset, std::uint64_t bytes);

// Writes into one file after the other; keeps the last one open. Ranges that follow each other are
// gathered, so nothing is sure to be in the file before flush(); a FileWriter that is destroyed
// drops what it has gathered. Memory: kRunBytes.
class FileWriter {
 public:
  void write(const std::filesystem::path& path, std::uint64_t offset, ByteView bytes);
  // Whether exactly these bytes are there already.
  bool holds(const std::filesystem::path& path, std::uint64_t offset, ByteView bytes);
  void flush();

 private:
  void open(const std::filesystem::path& path);
  void write_out(ByteView bytes, std::uint64_t offset);

  std::filesystem::path path_;
  FileDescriptor fd_;
  bool direct_ = false;  // whether the open file takes direct writes
  DirectBuffer run_{kRunBytes};
  std::size_t gathered_ = 0;  // bytes at the front of run_
  std::uint64_t run_offset_ = 0;
};

}  // namespace holdfast
