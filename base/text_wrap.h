// Text for people, wrapped to the width of their terminal.
#ifndef FLAME_BASE_TEXT_WRAP_H_
#define FLAME_BASE_TEXT_WRAP_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace flame {

// Lines of at most `width` columns, each ended by a line break and begun by `indent` spaces. Line
// breaks of `text` stay; a word longer than a line has a line of its own.
std::string WrapText(const std::string& text, size_t width, size_t indent = 0);

// Pairs of a name and its meaning. Names stand in a column of their own, two spaces in; one longer
// than the column has a line of its own.
using TwoColumns = std::vector<std::pair<std::string, std::string>>;
std::string WrapColumns(const TwoColumns& rows, size_t width);

}  // namespace flame

#endif  // FLAME_BASE_TEXT_WRAP_H_
