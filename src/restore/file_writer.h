#pragma once
// Creates the files of a restore and writes their blocks.
//
// A fresh file is created sparse at its final size, and blocks of zeros are never written into it.
// When an unfinished restore is resumed, blocks that are there already are recognised by their hash
// and not fetched again.
// Durability: none here; the restore syncs whole file systems once, at its end.
// Threads: any number, each with its own FileWriter.

#include <filesystem>
#include <string>

#include "repository/manifest.h"
#include "seal/hash.h"
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

// Creates a file at its size (or brings an existing one to it), with mode and owner.
void create_file(const std::filesystem::path& path, const FileEntry& entry,
                 const Ownership& ownership);

// Makes a range of a file zero: a hole where the file system has holes.
void write_zeros(const std::filesystem::path& path, std::uint64_t offset, std::uint64_t bytes);

// Writes into one file after the other; keeps the last one open.
class FileWriter {
 public:
  void write(const std::filesystem::path& path, std::uint64_t offset, ByteView bytes);
  // Whether exactly these bytes are there already.
  bool holds(const std::filesystem::path& path, std::uint64_t offset, ByteView bytes);

 private:
  void open(const std::filesystem::path& path);

  std::filesystem::path path_;
  FileDescriptor fd_;
};

}  // namespace holdfast
