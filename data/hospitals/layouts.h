// The layouts of hospital tables, each in a file of its own.
#ifndef FLAME_DATA_HOSPITALS_LAYOUTS_H_
#define FLAME_DATA_HOSPITALS_LAYOUTS_H_

#include <string>

#include "data/hospitals/hospital.h"

namespace flame {

Layout Mimic3Layout(std::string name);  // mimic3.cpp
Layout Mimic4Layout();                  // mimic4.cpp
Layout EicuLayout();                    // eicu.cpp

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_LAYOUTS_H_
