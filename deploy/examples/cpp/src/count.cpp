#include "count.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>

#include "language.hpp"

namespace tally {

namespace {

bool is_blank(const std::string& line) {
    return std::all_of(line.begin(), line.end(), [](unsigned char c) { return std::isspace(c) != 0; });
}

void add(const std::filesystem::path& path, const Language& language, Lines& lines) {
    std::ifstream file{path};
    if (!file) {
        return;
    }
    lines.files += 1;
    for (std::string line; std::getline(file, line);) {
        if (is_blank(line)) {
            lines.blank += 1;
        } else if (std::regex_search(line, language.comment)) {
            lines.comments += 1;
        } else {
            lines.code += 1;
        }
    }
}

}  // namespace

std::map<std::string, Lines> count(const std::filesystem::path& directory) {
    std::map<std::string, Lines> by_language;
    const auto options = std::filesystem::directory_options::skip_permission_denied;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{directory, options}) {
        if (!entry.is_regular_file()) {
            continue;
        }
        if (const auto language = language_of(entry.path())) {
            add(entry.path(), *language, by_language[language->name]);
        }
    }
    return by_language;
}

}  // namespace tally
