// Products of bf16 tiles: a is 16 rows of 32 inputs, b 16 pairs of inputs by 16 outputs by 2, c 16
// rows of 16 float sums.

#ifndef TILES_H
#define TILES_H

#include "instruction_set.h"

#include TILES

#endif
