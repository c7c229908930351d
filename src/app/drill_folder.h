#pragma once
// The folder in which a drill makes its copy. It is known for a drill's by a mark in it, which is
// written first and removed last: so what a killed drill left is removed by the next one, and
// nobody else's is ever touched.
//
// Errors: kRefused for a folder that holds something else; kHost. Threads: one at a time.

#include <filesystem>

namespace holdfast {

enum class DrillRemains { kRemove, kKeep };

class DrillFolder {
 public:
  // Makes it; removes what a killed drill left there.
  DrillFolder(std::filesystem::path path, DrillRemains remains);
  // Removes it, or leaves it without its mark: then nobody removes it unasked.
  ~DrillFolder();
  DrillFolder(const DrillFolder&) = delete;
  DrillFolder& operator=(const DrillFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path data() const { return path_ / "data"; }

  // As root, PostgreSQL runs as the owner of the data directory, who must get there.
  void give_to_owner_of_data() const;

 private:
  void remove_everything() const;

  const std::filesystem::path path_;
  const DrillRemains remains_;
};

}  // namespace holdfast
