// The table that a person reads.
#pragma once

#include <map>
#include <string>

#include "count.hpp"

namespace tally {

// One row a language, most code first.
std::string report(const std::map<std::string, Lines>& by_language);

}  // namespace tally
