// Which language a file is in, and what its comments look like.
#pragma once

#include <filesystem>
#include <optional>
#include <regex>
#include <string>

namespace tally {

struct Language {
    std::string name;
    std::regex comment;
};

// The language of a file by its name; none for files that are not source.
std::optional<Language> language_of(const std::filesystem::path& file);

}  // namespace tally
