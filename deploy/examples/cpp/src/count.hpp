// Lines of source below a directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace tally {

struct Lines {
    std::uint64_t files = 0;
    std::uint64_t code = 0;
    std::uint64_t comments = 0;
    std::uint64_t blank = 0;
};

// By name of the language. Files that cannot be read are left out.
std::map<std::string, Lines> count(const std::filesystem::path& directory);

}  // namespace tally
